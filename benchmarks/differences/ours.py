"""Our annotators, and our networks with the random weights of the tests."""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any

import torch

from benchmarks.differences.levels import Levels, Run, levels, tensor
from benchmarks.importing import from_tests
from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.annotators.networks import NETWORKS


@cache
def annotator_tests(name: str) -> ModuleType:
    """A file of the annotators' tests, for its weights and its people."""
    from_tests("random_weights")  # which they import
    return from_tests(f"core/annotators/{name}")


@cache
def our_net(name: str) -> torch.nn.Module:
    if name == "mlsd":
        seeded: torch.nn.Module = annotator_tests("networks/test_mlsd").seeded_mlsd()
        return seeded
    net = NETWORKS[name].build()
    weights = annotator_tests("conftest").seeded_weights(name)
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
