"""The build of the model: its stages go on where they were killed, to equal bits."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from zeroctl_core.bases import BASES
from zeroctl_core.demo.autoencoder import Autoencoder
from zeroctl_core.demo.judge import Judge, class_cells
from zeroctl_core.demo.model import AUTOENCODER, load_autoencoder, write_weights
from zeroctl_core.demo.rendering import render
from zeroctl_core.demo.scene import scenes
from zeroctl_core.demo.stages import STAGES, base, judge
from zeroctl_core.demo.stages.autoencoder import reconstructions
from zeroctl_core.demo.stages.controls import CONTROLS, config_of
from zeroctl_core.demo.text import TextEncoder
from zeroctl_core.network.unet import UNet
from zeroctl_core.train.loop import fit

MOST_BYTES = 25_000_000


def test_every_stage_writes_checkpoints_often():
    """A step of the autoencoder takes a twentieth of the others' time."""
    for name, stage in STAGES.items():
        assert stage.how.checkpoint_every <= (500 if name == "autoencoder" else 100)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(base, "BATCH", 2)
    monkeypatch.setattr(base, "SCENES", 8)

    def new_task() -> base.BaseTask:
        torch.manual_seed(0)
        spec = replace(BASES["tiny"].spec, model_channels=16, channel_mult=(1, 1, 1, 1))
        unet, text = UNet(replace(BASES["tiny"], spec=spec)), TextEncoder()
        return base.BaseTask(unet, text, torch.randn(8, 4, 8, 8))

    return new_task


def test_a_base_that_was_interrupted_goes_on_to_equal_bits(small, tmp_path):
    how = replace(base.BASE.how, steps=4, checkpoint_every=2)
    whole, first, second = small(), small(), small()
    averages = fit(whole, how)
    fit(first, how, folder=tmp_path, stop_at=2)
    resumed = fit(second, how, folder=tmp_path)
    for name, module in whole.modules.items():
        for key, value in module.state_dict().items():
            assert torch.equal(value, second.modules[name].state_dict()[key]), key
    assert all(torch.equal(value, resumed.values[key]) for key, value in averages.values.items())
    assert not torch.equal(first.text.token_embedding.weight, second.text.token_embedding.weight)


def test_a_step_says_something_else_of_the_same_scenes(small):
    task = small()
    numbers = [task._prompts(step, [0, 1, 2, 3, 4, 5, 6, 7]) for step in (0, 1, 0)]
    assert torch.equal(numbers[0], numbers[2]) and not torch.equal(numbers[0], numbers[1])


def test_all_weights_together_fit_the_repository():
    """In float16: text encoder, UNet, autoencoder and judge, and the controls, which are copies of the encoder."""
    from zeroctl_core.network.controlnet import ControlNet

    unet = UNet(BASES["tiny"])
    control = ControlNet.trainable_copy(unet, dtype=torch.float32)
    networks = [unet, TextEncoder(), Autoencoder(), Judge(), *[control] * len(CONTROLS)]
    assert sum(2 * value.numel() for network in networks for value in network.state_dict().values()) < MOST_BYTES


def test_the_edges_are_scored_often_where_the_jump_comes(tmp_path):
    config = config_of("edges", tmp_path, tmp_path)
    assert [step for step in range(40, 151) if config.is_scored(step)] == list(range(40, 151, 10))


def test_the_judge_learns_scenes_and_their_reconstructions_with_the_classes_of_their_cells(monkeypatch, tmp_path):
    """Of drawn shapes, eight of each of two splits."""
    write_weights(tmp_path / AUTOENCODER, {"": Autoencoder()}, {})
    monkeypatch.setattr(judge, "COUNTS", {"train": 8, "held_out": 8})
    monkeypatch.setattr(judge, "SCENES", 16)
    monkeypatch.setattr(judge, "AT_ONCE", 4)
    monkeypatch.setattr(
        judge,
        "drawn_scenes",
        lambda work, seed, start, count, split: render(scenes(seed, start, count, split, shapes_only=True)),
    )
    judge.drawn_once.cache_clear()
    task = judge.new(tmp_path, tmp_path)
    truth = render(scenes(judge.SEED, judge.SCENES_FROM, 8, "held_out", shapes_only=True))
    assert torch.equal(task.pictures[0, 8:], (truth.image * 255).round().to(torch.uint8))
    assert torch.equal(task.cells[8:], class_cells(truth.scenes, truth.number))
    again = reconstructions(load_autoencoder(tmp_path), truth.image)
    assert float((task.pictures[1, 8:].float() / 255 - again).abs().max()) < 0.01
    losses = [task.loss(step).detach() for step in (3, 3, 4)]
    assert torch.equal(losses[0], losses[1]) and not torch.equal(losses[1], losses[2])
    judge.drawn_once.cache_clear()
