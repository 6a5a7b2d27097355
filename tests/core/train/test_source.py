"""What is trained on is given to a run: any source will do, and what the run asks of it is all that it needs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from toy_training import ToyData, apart, weights_of

from zeroctl_core import BASES, UNet, load_controlnet
from zeroctl_core.demo.rendering import render
from zeroctl_core.demo.scene import scenes
from zeroctl_core.demo.source import World
from zeroctl_core.train.__main__ import WORLD
from zeroctl_core.train.config import ControlConfig
from zeroctl_core.train.objective import STABLE_DIFFUSION
from zeroctl_core.train.run import new_control, new_task, train_control
from zeroctl_core.train.source import load_source


class Toy:
    """Random samples for an untrained UNet that predicts v; whatever a net does, its score is half."""

    prediction = "v"
    schedule = STABLE_DIFFUSION
    conditions = ("noise",)

    def __init__(self) -> None:
        torch.manual_seed(1)
        self.unet = UNet(BASES["tiny"])
        self.scores: list[dict[str, int]] = []

    def data(self, condition, *, seed, count, cache):
        return ToyData()

    def score(self, net, condition, **settings):
        self.scores.append(settings)
        assert not net.training and not any(p.requires_grad for p in self.unet.parameters())
        return {"follow": 0.5}


@pytest.fixture
def config(tmp_path) -> ControlConfig:
    return ControlConfig(
        condition="noise", n_scenes=6, steps=1, batch_size=2, n_score=3, score_sampling_steps=4, work=tmp_path
    )


def test_a_run_on_another_source_than_the_world_takes_its_prediction_data_and_score(config):
    source = Toy()
    result = train_control(config, source, say=lambda text: None)
    assert [line["follow"] for line in result.log] == [0.5, 0.5]
    assert [(settings["n"], settings["steps"]) for settings in source.scores] == [(3, 4), (3, 4)]
    with safe_open(result.path, framework="pt") as file:
        assert json.loads(file.metadata()["zeroctl.provenance"])["config"]["prediction"] == "v"


def test_a_run_without_a_score_says_so_once(config):
    class Unscored(Toy):
        def score(self, net, condition, **settings):
            return {}

    lines = []
    result = train_control(config, Unscored(), say=lines.append)
    assert sum("this condition has no score" in line for line in lines) == 1
    assert result.jump is None and all("follow" not in line for line in result.log)


def test_the_loss_is_that_of_what_the_base_predicts(config):
    losses = {}
    for prediction in ("eps", "v"):
        source = Toy()
        source.prediction = prediction
        task = new_task(config, source, new_control(config, source))
        assert f"prediction='{prediction}'" in task.name
        losses[prediction] = float(task.loss(0).detach())
    assert losses["eps"] != losses["v"]


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("schedule", "cosine", "noise schedule 'cosine'; known are: stable_diffusion"),
        ("prediction", "x0", "'x0'; expected eps or v"),
        ("conditions", ("signal", "more"), "no condition 'noise'; there are: signal, more"),
    ],
)
def test_a_source_that_cannot_be_trained_on_is_refused_before_its_weights_are_read(config, attribute, value, message):
    class Unread(Toy):
        def __init__(self) -> None:
            pass  # whoever asks for the UNet gets an AttributeError

    source = Unread()
    setattr(source, attribute, value)
    with pytest.raises(ValueError, match=message):
        train_control(config, source, say=lambda text: None)
    assert not config.folder.exists()


def test_the_default_source_is_the_embedded_world_and_reads_the_folder_that_is_named(tmp_path):
    assert isinstance(load_source(WORLD), World)
    with pytest.raises(FileNotFoundError, match="model.safetensors is missing"):
        _ = load_source(WORLD, tmp_path).unet


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("zeroctl_core.demo.sauce", "no module 'zeroctl_core.demo.sauce'"),
        ("nowhere.at.all", "no module 'nowhere.at.all'"),
        ("", "not the dotted name of a module"),
        ("..demo.source", "not the dotted name of a module"),
        ("zeroctl_core.train.loop", "has no function source"),
    ],
)
def test_a_module_that_is_not_a_source_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        load_source(name)


def test_the_world_encodes_and_decodes_as_its_own_training_did():
    world = World()
    pictures = render(scenes(5, 0, 4, shapes_only=True)).image
    latents, deviation = world.encode(pictures)
    assert deviation.shape == latents.shape and 0 < float(deviation.mean()) < 0.5
    data = world.data("edges", seed=5, count=4, cache=None)
    assert torch.allclose(latents, data.batch(range(4)).latent, atol=1e-5)
    assert float((world.decode(latents) - pictures).abs().mean()) < 0.02
    prompts = world.encode_prompts(["a red star on a blue background", ""])
    assert prompts.context.shape == (2, 16, 64) and prompts.y is None
    assert not torch.equal(prompts.context[0], prompts.context[1])


def test_the_control_of_the_best_score_is_kept(config):
    class Rising(Toy):
        follow = (0.1, 0.4, 0.9, 0.9, 0.3)  # from step 0 on

        def score(self, net, condition, **settings):
            weights.append(weights_of(net))
            return {"follow": self.follow[len(weights) - 1]}

    weights: list[dict[str, torch.Tensor]] = []
    here = replace(config, steps=4, score_every=1, warmup_steps=1, ema_decay=0.9)
    train_control(here, Rising(), say=lambda text: None)
    best = load_controlnet(here.folder / "best.safetensors")
    half = {name: weight.half() for name, weight in weights[2].items()}
    assert not apart(half, weights_of(best)) and apart(half, {k: v.half() for k, v in weights[4].items()})
    with safe_open(here.folder / "best.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["zeroctl.provenance"])["training"] == {"step": 2, "follow": 0.9}
