"""The weights that are shipped: their size, their origin, and what they draw."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch

from zeroctl_core import ControlNet, ControlUnit, load_controlnet
from zeroctl_core.demo.autoencoder import SCALE, Autoencoder
from zeroctl_core.demo.build import LOG
from zeroctl_core.demo.captions import caption
from zeroctl_core.demo.conditions import CONDITIONS
from zeroctl_core.demo.judge import judge_scores
from zeroctl_core.demo.model import WEIGHTS, DemoModel, control_files, load_control, load_judge, read_weights
from zeroctl_core.demo.rendering import render
from zeroctl_core.demo.scene import SIZE, scenes
from zeroctl_core.demo.scoring import control_samples
from zeroctl_core.demo.source import Request, World
from zeroctl_core.demo.stages.controls import CONTROLS
from zeroctl_core.sampling import normal_sigmas

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def model():
    return DemoModel.load()


@pytest.fixture(scope="module")
def held_out():
    return scenes(77, 0, 8, "held_out", shapes_only=True)


def test_all_weights_together_are_small():
    assert sum(path.stat().st_size for path in WEIGHTS.rglob("*.safetensors")) <= 25e6


def test_every_file_is_the_one_that_the_build_log_names():
    stages = json.loads((ROOT / LOG).read_text())["stages"]
    expected = {entry["file"]: entry["sha256"] for entry in stages.values()}
    hashes = {
        str(path.relative_to(WEIGHTS).as_posix()): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in WEIGHTS.rglob("*.safetensors")
    }
    assert hashes == expected


def test_the_controls_are_ordinary_files():
    files = control_files()
    assert set(files) == set(CONTROLS)
    for path in files.values():
        net = load_controlnet(path)
        assert net.base.name == "tiny" and net.info is not None and net.info.layout == "ldm"
        assert net.info.dtype == torch.float16


def test_an_unknown_control_names_the_known_ones():
    with pytest.raises(ValueError, match="no embedded control 'canny'; there are: colours, depth, edges"):
        load_control("canny")


def test_a_missing_file_says_how_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="zeroctl_core.demo.build"):
        DemoModel.load(tmp_path)


def test_a_file_of_other_weights_is_refused():
    with pytest.raises(
        ValueError, match=r"not a file of this version: \d+ keys missing \(encoder.*\); \d+ keys too many"
    ):
        read_weights(WEIGHTS / "judge.safetensors", {"": Autoencoder()})


def test_a_damaged_file_is_refused_with_its_name(tmp_path):
    path = tmp_path / "judge.safetensors"
    path.write_bytes((WEIGHTS / "judge.safetensors").read_bytes()[:-100])
    with pytest.raises(ValueError, match="judge.safetensors is damaged"):
        read_weights(path, {"": Autoencoder()})


def test_latents_have_the_spread_of_stable_diffusions(model, held_out):
    latents = model.autoencoder.encode(render(held_out).image) * SCALE
    assert latents.shape == (8, 4, 24, 24)
    assert 0.8 < float(latents.std()) < 1.2 and abs(float(latents.mean())) < 0.2


def test_prompts_are_drawn(model, held_out):
    pictures = control_samples(model, [], [caption(one) for one in held_out], 0)
    scores = judge_scores(load_judge(), pictures, held_out)
    assert scores["ground"] == 1.0 and scores["thing"] >= 0.7


@pytest.mark.parametrize("name", CONTROLS)
def test_every_control_is_followed(name, model):
    """Scenes of shapes alone, four of them."""
    world, request, net = World(parts=model), Request(n=4, seed=77), load_control(name)
    assert world.follow(net, name, request)["follow"] > 0.6
    assert torch.equal(
        control_samples(model, [ControlUnit(net, torch.rand(1, 3, SIZE, SIZE), strength=0.0)], ["a cat"], 0),
        control_samples(model, [], ["a cat"], 0),
    )


def test_the_order_of_two_controls_does_not_matter(model, held_out):
    truth, prompts = render(held_out[:4]), [caption(one) for one in held_out[:4]]
    units = [ControlUnit(load_control(name), CONDITIONS[name](truth), strength=0.6) for name in ("edges", "depth")]
    there, back = (control_samples(model, order, prompts, 0) for order in (units, units[::-1]))
    assert float((there - back).abs().max()) < 1e-3


def test_an_untrained_copy_changes_no_bit(model, held_out):
    truth, prompts = render(held_out[:2]), [caption(one) for one in held_out[:2]]
    copy = ControlNet.trainable_copy(model.unet).eval()
    own = dict(model.unet.named_parameters())
    assert all(torch.equal(value, own[name]) for name, value in copy.named_parameters() if name in own)
    unit = ControlUnit(copy, CONDITIONS["edges"](truth))
    assert torch.equal(control_samples(model, [unit], prompts, 0), control_samples(model, [], prompts, 0))


def test_noise_levels_are_those_of_the_normal_schedule():
    sigmas = normal_sigmas(20)
    assert len(sigmas) == 21 and float(sigmas[-1]) == 0.0
    assert float(sigmas[0]) == pytest.approx(14.6146, abs=1e-3) and float(sigmas[-2]) == pytest.approx(0.0292, abs=1e-3)
    assert bool((sigmas.diff() < 0).all())
