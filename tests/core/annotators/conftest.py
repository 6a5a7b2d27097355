"""Networks of annotators with random but deterministic weights."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from random_weights import random_state_dict
from torch import Tensor, nn

from zeroctl_core.annotators.networks import NETWORKS

LAST_LAYERS = {"lineart_anime": ("model.model.3", 0.3, 0.0), "lineart_manga": ("conv15.model.2", 0.004, 128.0)}
"""Key, gain and offset of what would otherwise draw nothing but black and white."""


def seeded_weights(name: str) -> dict[str, Tensor]:
    """Weights for which the maps have many shades."""
    weights = random_state_dict(NETWORKS[name].shapes(), spread=0.1)
    for key, tensor in weights.items():
        if key.endswith("running_var"):
            tensor.add_(1)
        elif key.endswith("num_batches_tracked"):
            weights[key] = torch.zeros((), dtype=torch.long)
        elif key == "norm":
            tensor.add_(120)
    if name in LAST_LAYERS:
        key, gain, offset = LAST_LAYERS[name]
        weights[f"{key}.weight"].mul_(gain)
        weights[f"{key}.bias"].add_(offset)
    return weights


@cache
def _seeded_net(name: str) -> nn.Module:
    net = NETWORKS[name].build()
    net.load_state_dict(seeded_weights(name))
    return net.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def seeded_net() -> Callable[[str], nn.Module]:
    """Name -> network, in eval mode; made once."""
    return _seeded_net


@pytest.fixture(scope="session")
def seeded_state() -> Callable[[str], dict[str, Tensor]]:
    """Name -> its weights."""
    return seeded_weights


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a connection fails."""

    def refuse(*args: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Name in `tiny_transformers.TINY` -> its folder, written once; not to be changed."""
    pytest.importorskip("transformers", reason="writes folders of transformers models")
    from tiny_transformers import write_tiny

    return cache(lambda name: write_tiny(name, tmp_path_factory.mktemp("tiny") / name))
