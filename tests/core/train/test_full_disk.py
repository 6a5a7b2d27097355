"""A disk that is really full when a training writes each of its files: a sentence, nothing lost, and it goes on."""

from __future__ import annotations

import contextlib
import json
import warnings
from dataclasses import replace

import pytest
import torch
from small_disk import fill, make_room
from toy_training import ToyData, apart, weights_of

from zeroctl_core import BASES, UNet
from zeroctl_core.files import written_whole as writing
from zeroctl_core.files.full_disk import DiskFullError, full_disk_named
from zeroctl_core.files.streamed_safetensors import stream_safetensors
from zeroctl_core.network.noise_levels import STABLE_DIFFUSION
from zeroctl_core.train import checkpointing, watching
from zeroctl_core.train.checkpointing import STATE
from zeroctl_core.train.config import ControlConfig
from zeroctl_core.train.run import LOG, train_control
from zeroctl_core.train.watching import BEST

SMALL = BASES["tiny"].with_spec(replace(BASES["tiny"].spec, model_channels=16))
SIZE = 32 << 20
STEPS = 4


class ToySource:
    """A `Source` of random samples, whose scores rise."""

    prediction = "eps"
    schedule = STABLE_DIFFUSION
    conditions = ("toy",)

    def __init__(self) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            self.unet = UNet(SMALL)

    def data(self, condition, *, seed, count, cache):
        return ToyData()

    def score(self, net, condition, *, n, seed, steps):
        grown = [weight.detach().abs().mean() for name, weight in net.named_parameters() if "zero_convs" in name]
        return {"follow": 10 * float(sum(grown)) / len(grown)}


def config_in(folder) -> ControlConfig:
    return ControlConfig(
        condition="toy",
        run="run",
        work=folder,
        steps=STEPS,
        batch_size=2,
        warmup_steps=1,
        ema_decay=0.9,
        score_every=1,
        gap_every=0,
        checkpoint_every=1,
        threads=1,
    )


def quiet(text: str) -> None:
    pass


@pytest.fixture
def full_at(monkeypatch):
    """`full_at(name, time, disk)`: the disk has no room from the n-th time on that a file of this name is begun."""

    def patch(name, time, disk):
        times = 0

        @contextlib.contextmanager
        def named(path, n_bytes):
            nonlocal times
            times += path.name.startswith(name)
            if times == time:
                fill(disk)
            with full_disk_named(path, n_bytes):
                yield

        def stream(path, tensors):
            digest = stream_safetensors(path, tensors)
            if name == STATE:
                fill(disk)
            return digest

        monkeypatch.setattr(writing, "full_disk_named", named)
        monkeypatch.setattr(watching, "full_disk_named", named)
        monkeypatch.setattr(checkpointing, "stream_safetensors", stream)

    return patch


def log_of(folder):
    lines = [json.loads(line) for line in (folder / LOG).read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def names_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that had room, and its folder."""
    config = config_in(tmp_path_factory.mktemp("whole"))
    return train_control(config, ToySource(), say=quiet), config.folder


KINDS = [("step-", 1), ("step-", 3), (STATE, 1), (LOG, 1), (LOG, 3), (BEST, 1), (BEST, 2), ("toy", 1)]


@pytest.mark.long
@pytest.mark.parametrize(("name", "time"), KINDS, ids=[f"{name} {time}" for name, time in KINDS])
def test_it_ends_with_a_sentence_loses_nothing_and_goes_on_with_room(
    small_disk, full_at, whole, monkeypatch, name, time
):
    disk = small_disk(SIZE)
    config = config_in(disk)
    full_at(name, time, disk)
    with pytest.raises(DiskFullError, match=rf"{disk}.* could not be written, the disk is full: it needs .* are free"):
        train_control(config, ToySource(), say=quiet)
    monkeypatch.undo()
    assert not [name for name in names_in(config.folder) if name.endswith(".part")]
    make_room(disk)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what is damaged would be warned of
        result = train_control(config, ToySource(), say=quiet)
    undisturbed, folder = whole
    assert apart(weights_of(result.net), weights_of(undisturbed.net)) == []
    assert log_of(config.folder) == log_of(folder) and names_in(config.folder) == names_in(folder)
