"""From a folder of pictures to a control: prepared, trained, loaded, by the commands."""

from __future__ import annotations

import json

import pytest
import torch
from scene_files import write_scenes

from zeroctl_core import load_controlnet
from zeroctl_core.train.__main__ import main as train
from zeroctl_core.train.prepare.__main__ import main as prepare
from zeroctl_core.train.prepare.cache import CachedData, read_index

N, SIZE = 100, 64


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    write_scenes(folder, N)
    return folder


@pytest.fixture(scope="module")
def prepared(pictures, tmp_path_factory):
    output = tmp_path_factory.mktemp("data")
    options = ["--annotator", "canny", "--held-out", "4", "--width", str(SIZE), "--height", str(SIZE)]
    assert prepare([str(pictures), "--output", str(output), *options]) == 0
    return output


def test_prepared_data_holds_the_pictures_their_edges_and_their_captions(pictures, prepared):
    index = read_index(prepared)
    assert sorted(index.names) == [f"{number:04}" for number in range(N)]
    data, held_out = CachedData(prepared, index), CachedData(prepared, index, held_out=True)
    assert len(data) == N - 4 and len(held_out) == 4
    batch = data.batch([0, 5, 5])
    assert batch.latent.shape == batch.deviation.shape == (3, 4, SIZE // 8, SIZE // 8) and bool(
        (batch.deviation > 0).all()
    )
    assert batch.condition.shape == (3, 3, SIZE, SIZE) and 0.01 < float(batch.condition.mean()) < 0.2
    assert torch.equal(batch.condition[1], batch.condition[2]) and not torch.equal(batch.latent[0], batch.latent[1])
    assert batch.prompts.context.shape == (3, 12, 64) and data.empty.context.shape == (1, 12, 64)


def test_a_hundred_pictures_open_the_gap_in_sixty_steps_and_a_resume_ends_in_the_same_file(prepared, tmp_path):
    """A quarter of the world's size: seconds in place of a minute."""
    options = ["--data", str(prepared), "--work", str(tmp_path), "--batch-size", "2", "--warmup-steps", "10"]
    options += ["--score-every", "0", "--gap-every", "60", "--threads", "1"]
    for run, steps in (("parts", "25"), ("parts", "60"), ("whole", "60")):
        assert train([*options, "--run", run, "--steps", steps]) == 0
    log = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    gaps = {line["step"]: line["gap"] for line in log if "gap" in line}
    assert gaps[0] == 0 and gaps[60] > 0.03  # of a loss near .1
    one, other = (load_controlnet(tmp_path / run / "canny.safetensors").state_dict() for run in ("parts", "whole"))
    assert all(torch.equal(one[key], other[key]) for key in one)


MANY, GOAL = 1000, 400
"""Pictures and steps of 8 samples after which the control follows: F1 .80 at step 300 already."""


@pytest.mark.long
def test_a_thousand_pictures_become_a_control_that_follows(tmp_path):
    pictures, data = tmp_path / "pictures", tmp_path / "data"
    pictures.mkdir()
    write_scenes(pictures, MANY)
    assert prepare([str(pictures), "--output", str(data), "--annotator", "canny"]) == 0
    options = ["--data", str(data), "--work", str(tmp_path), "--run", "many", "--steps", str(GOAL), "--batch-size", "8"]
    assert train(options) == 0
    log = [json.loads(line) for line in (tmp_path / "many" / "log.jsonl").read_text().splitlines()]
    scores = [line["score"] for line in log if "score" in line]
    assert scores[0] <= 0.25 and scores[-1] >= 0.8, scores
