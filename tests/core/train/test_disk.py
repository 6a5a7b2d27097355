"""What a run needs of the disk is asked for before it starts."""

from __future__ import annotations

import shutil
from collections import namedtuple
from dataclasses import replace

import pytest
from demo_weights import write_random
from toy_training import new_net, new_unet

from zeroctl_core.demo.source import World
from zeroctl_core.train import run as running
from zeroctl_core.train.config import ControlConfig
from zeroctl_core.train.disk import check_space, space_of
from zeroctl_core.train.run import train_control

Usage = namedtuple("Usage", "total used free")


def leave(monkeypatch, free: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1 << 40, 0, free))


@pytest.fixture
def config(tmp_path) -> ControlConfig:
    config = ControlConfig(
        n_scenes=4, steps=3, batch_size=1, ema_decay=0.9, score_every=0, gap_every=0, checkpoint_every=1, work=tmp_path
    )
    config.folder.mkdir()
    return config


def test_a_disk_that_is_too_small_is_refused_with_needed_and_free(config, monkeypatch):
    net = new_net(new_unet())
    need = space_of(config, net)
    leave(monkeypatch, need)
    check_space(config, net)
    leave(monkeypatch, need - 1)
    with pytest.raises(OSError, match=rf"{config.folder.name} has .* MB free, and this run needs .* MB .*another disk"):
        check_space(config, net)
    old = config.folder / "checkpoints" / "step-00000001" / "tensors.safetensors"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"a")
    check_space(config, net)  # what is there makes way
    check_space(replace(config, checkpoint_every=3), net)


def test_nothing_is_deleted_or_trained_where_the_disk_is_too_small(tmp_path, config, monkeypatch):
    (tmp_path / "weights").mkdir()
    source = World(write_random(tmp_path / "weights"))
    config.target.write_bytes(b"a finished control")
    monkeypatch.setattr(running, "fit", lambda *_, **__: pytest.fail("the training starts"))
    leave(monkeypatch, 1000)
    with pytest.raises(OSError, match="0.0 MB free"):
        train_control(replace(config, resume=False), source, say=lambda text: None)
    assert config.target.read_bytes() == b"a finished control"


def test_beginning_anew_deletes_nothing_where_weights_are_missing(config):
    config.target.write_bytes(b"a finished control")
    with pytest.raises(FileNotFoundError):
        train_control(replace(config, resume=False), World(config.work / "nowhere"), say=lambda text: None)
    with pytest.raises(ValueError, match="no condition"):
        train_control(replace(config, condition="egdes", run=config.folder.name, resume=False), World(), say=print)
    assert config.target.read_bytes() == b"a finished control"


def test_what_a_run_writes_fits_in_what_it_asks_for(tmp_path, config):
    (tmp_path / "weights").mkdir()
    source = World(write_random(tmp_path / "weights"))
    net = train_control(config, source, say=lambda text: None).net
    there = sum(path.stat().st_size for path in config.folder.rglob("*.safetensors"))
    need = space_of(config, net)  # a third checkpoint stands beside two for a moment
    assert there < need < 2 * there
