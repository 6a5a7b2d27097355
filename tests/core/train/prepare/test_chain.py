"""From a folder of pictures to a control: prepared, trained, loaded, by the commands."""

from __future__ import annotations

import pytest
import torch
from scene_files import write_scenes

from zeroctl_core import load_controlnet
from zeroctl_core.train.__main__ import main as train
from zeroctl_core.train.prepare.__main__ import main as prepare
from zeroctl_core.train.prepare.cache import CachedData, read_index

N = 24


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    write_scenes(folder, N)
    return folder


@pytest.fixture(scope="module")
def prepared(pictures, tmp_path_factory):
    output = tmp_path_factory.mktemp("data")
    assert prepare([str(pictures), "--output", str(output), "--annotator", "canny", "--held-out", "4"]) == 0
    return output


def test_prepared_data_holds_the_pictures_their_edges_and_their_captions(pictures, prepared):
    index = read_index(prepared)
    assert sorted(index.names) == [f"{number:04}" for number in range(N)]
    data, held_out = CachedData(prepared, index), CachedData(prepared, index, held_out=True)
    assert len(data) == N - 4 and len(held_out) == 4
    batch = data.batch([0, 5, 5])
    assert batch.latent.shape == batch.deviation.shape == (3, 4, 16, 16) and bool((batch.deviation > 0).all())
    assert batch.condition.shape == (3, 3, 128, 128) and 0.01 < float(batch.condition.mean()) < 0.2
    assert torch.equal(batch.condition[1], batch.condition[2]) and not torch.equal(batch.latent[0], batch.latent[1])
    assert batch.prompts.context.shape == (3, 12, 64) and data.empty.context.shape == (1, 12, 64)


def test_a_control_is_trained_on_prepared_data_and_goes_on_to_more_steps(prepared, tmp_path):
    options = ["--data", str(prepared), "--work", str(tmp_path), "--run", "mine", "--batch-size", "4"]
    options += ["--n-score", "2", "--score-sampling-steps", "2", "--threads", "1", "--checkpoint-every", "2"]
    assert train([*options, "--steps", "2"]) == 0
    assert train([*options, "--steps", "4"]) == 0
    whole = [*options, "--steps", "4"]
    whole[whole.index("mine")] = "whole"
    assert train(whole) == 0
    one, other = (load_controlnet(tmp_path / run / "canny.safetensors").state_dict() for run in ("mine", "whole"))
    assert all(torch.equal(one[key], other[key]) for key in one)
