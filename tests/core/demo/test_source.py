"""The world as what a control is trained on, with drawn shapes alone and with random weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from zeroctl_core.bases import BASES
from zeroctl_core.control.unit import ControlUnit
from zeroctl_core.demo import pictures
from zeroctl_core.demo.autoencoder import Autoencoder
from zeroctl_core.demo.condition_scores import CONDITION_SCORES
from zeroctl_core.demo.conditions import CONDITIONS
from zeroctl_core.demo.judge import Judge
from zeroctl_core.demo.model import AUTOENCODER, JUDGE, MODEL, TEXT_PREFIX, UNET_PREFIX, write_weights
from zeroctl_core.demo.names import PICTURES
from zeroctl_core.demo.rendering import render
from zeroctl_core.demo.scene import DRAWN, scene, scenes
from zeroctl_core.demo.source import Request, World
from zeroctl_core.demo.text import TextEncoder
from zeroctl_core.network.controlnet import ControlNet
from zeroctl_core.network.unet import UNet
from zeroctl_core.train.config import ControlConfig
from zeroctl_core.train.run import train_control

FEW = Request(n=3, seed=5, steps=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Random weights in the files of the model."""
    folder = tmp_path_factory.mktemp("things")
    torch.manual_seed(0)
    write_weights(folder / MODEL, {UNET_PREFIX: UNet(BASES["tiny"]), TEXT_PREFIX: TextEncoder()}, {})
    write_weights(folder / AUTOENCODER, {"": Autoencoder()}, {})
    write_weights(folder / JUDGE, {"": Judge()}, {})
    return folder


@pytest.fixture(scope="module")
def source(folder):
    """Of drawn shapes, whatever package the environment names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(pictures.VARIABLE, raising=False)
        return World(folder)


@pytest.fixture(scope="module")
def net(source) -> ControlNet:
    """A copy whose zero convolutions carry something."""
    torch.manual_seed(1)
    net = ControlNet.trainable_copy(source.unet).eval().requires_grad_(False)
    for parameter in net.parameters():
        if not parameter.any():
            parameter.normal_(std=0.05)
    return net


def test_without_a_package_all_scenes_are_drawn_and_held_out_ones_are_others(source):
    assert source.package is None
    for split in ("train", "held_out", "new_grounds"):
        world = source.scenes(2, 0, 100, split)
        assert {thing.name for one in world for thing in one.things} == set(DRAWN)
    assert not set(map(repr, source.scenes(2, 0, 100))) & set(map(repr, source.scenes(2, 0, 100, "held_out")))
    with pytest.raises(ValueError, match="every shape that is drawn was trained on"):
        source.scenes(2, 0, 1, "new_things")
    assert {thing.name for one in scenes(2, 0, 100) for thing in one.things} - set(DRAWN)


def test_a_package_is_found_by_its_file_its_folder_and_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv(pictures.VARIABLE, raising=False)
    file = tmp_path / pictures.FILE
    with pytest.raises(FileNotFoundError, match="is missing"):
        pictures.package_of(tmp_path)
    with pytest.raises(FileNotFoundError, match="is missing"):
        pictures.package_of(file)
    file.write_bytes(b"")
    assert pictures.package_of(file) == pictures.package_of(tmp_path) == file
    unpacked = tmp_path / "unpacked" / "assets"
    unpacked.mkdir(parents=True)
    (unpacked / f"{PICTURES['cat']}.webp").write_bytes(b"")
    assert pictures.package_of(unpacked.parent) == unpacked.parent
    monkeypatch.setenv(pictures.VARIABLE, str(file))
    assert pictures.package_of(None) == file


def test_what_a_control_does_not_change_follows_by_nothing(source, net):
    figures = source.follow(net, "edges", FEW, strength=0.0)
    if "follow" in figures:  # random weights may leave no range between chance and the best
        assert figures["follow"] == 0.0 and figures["score"] == figures["floor"]
    assert torch.equal(source.each(FEW, "edges", source.without(FEW)), source.ends(FEW, "edges").floor)
    acting = source.samples(FEW, lambda truth: [ControlUnit(net, CONDITIONS["edges"](truth))])
    assert float((acting - source.without(FEW)).abs().max()) > 0.01


@pytest.mark.parametrize("name", list(CONDITIONS))
def test_every_condition_has_a_score_that_the_picture_itself_reaches(source, name):
    """Without the autoencoder and, where the judge is asked, with one that sees every drawn pixel."""
    truth = render(scenes(7, 0, 6, shapes_only=True))
    conditions = CONDITIONS[name](truth)

    def judge(images):
        cells = (truth.number[:, 4::8, 4::8] > 0).float()[:, None]
        return torch.cat((0.5 * torch.ones_like(cells), cells), dim=1)

    own = CONDITION_SCORES[name](judge, truth.image, conditions)
    other = CONDITION_SCORES[name](judge, truth.image, conditions.roll(1, dims=0))
    assert own.shape == (6,) and float(own.mean()) > 0.8 and float(own.mean() - other.mean()) > 0.1
    assert set(CONDITION_SCORES) == set(CONDITIONS)


def test_samples_and_scores_depend_on_the_request_alone(source, folder, net):
    other = World(folder)
    other.package = None
    assert torch.equal(source.without(FEW), other.without(FEW))
    assert source.follow(net, "edges", FEW) == other.follow(net, "edges", FEW)
    in_red = replace(FEW, prompt="a red thing on a white background")
    assert not torch.equal(source.without(FEW), source.without(in_red))


def test_drawn_data_is_the_scenes_that_it_says(source):
    data = source.data("edges", seed=4, count=70, cache=None)
    assert len(data) == 70 and data.name == "shapes edges seed 4 count 70 version 1"
    batch = data.batch([0, 69, 3])
    assert batch.latent.shape == (3, 4, 24, 24) and batch.prompts.context.shape == (3, 16, 64)
    truth = render([scene(4, row, shapes_only=True) for row in (0, 69, 3)])
    mean, _ = source.encode(truth.image)
    assert torch.allclose(batch.latent, mean, atol=1e-4)
    assert torch.equal(data.batch([69]).condition, batch.condition[1:2])


def test_a_control_is_trained_on_drawn_shapes_without_a_package(source, tmp_path):
    config = ControlConfig(
        condition="scribble", n_scenes=64, steps=2, batch_size=2, n_score=2, score_sampling_steps=2, work=tmp_path
    )
    result = train_control(config, source, say=lambda line: None)
    assert result.path.is_file() and [line["step"] for line in result.log if "loss" in line] == [1, 2]
