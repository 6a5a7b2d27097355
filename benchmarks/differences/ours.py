"""Our annotators, and our networks with the random weights of the tests."""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any

import torch

from benchmarks.differences.levels import Levels, Run, levels, tensor
from benchmarks.importing import single_file
from benchmarks.machine import ROOT, with_tests_importable
from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.annotators.networks import NETWORKS


@cache
def test_module(name: str) -> ModuleType:
    """A file of the annotators' tests, for its weights and its people."""
    with_tests_importable()
    return single_file(ROOT / "tests" / "core" / "annotators" / f"{name}.py", f"zeroctl_{name}")


@cache
def our_net(name: str) -> torch.nn.Module:
    if name == "mlsd":
        found: torch.nn.Module = test_module("test_mlsd").seeded_mlsd()
        return found
    net = NETWORKS[name].build()
    weights = test_module("conftest").seeded_weights(name)
    if name == "lineart_coarse":
        weights["model4.1.weight"].neg_()  # not the map of lineart_realistic
    net.load_state_dict(weights)
    return net.eval().requires_grad_(False)


def ours(name: str, net: str | None = None, **settings: Any) -> Run:
    """An annotator of ours with its settings."""

    def run(picture: Levels) -> Levels:
        extra: dict[str, Any] = {} if net is None else {"net": our_net(net)}
        return levels(ANNOTATORS[name](tensor(picture), **extra, **settings))

    return run
