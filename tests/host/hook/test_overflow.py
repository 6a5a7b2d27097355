"""A control that overflows adds nothing where its mask, its weight or its branch is 0, and is named after the run."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from control_graphs import picture, with_our_control
from host_process import Host
from torch import Tensor

from zeroctl_core import ConnectionWeights

ROOT = Path(__file__).resolve().parents[3]


class Overflowing:
    """A CONTROL_NET with a skip and a middle, infinite everywhere, as one in fp16 may be."""

    strength = 1.0

    def copy(self) -> Overflowing:
        return self

    def set_cond_hint(self, *args: Any, **kwargs: Any) -> None: ...

    def pre_run(self, *args: Any) -> None: ...

    def get_control(self, x: Tensor, *args: Any) -> dict[str, list[Tensor]]:
        maps = torch.full((x.shape[0], 6, 8, 8), torch.inf)
        return {"input": [], "output": [maps], "middle": [maps.clone()]}


def control_of(host: Host, **settings: Any) -> dict[str, list[Tensor]]:
    """Of two rows, an uncond and a cond, of 8x8 cells."""
    hook = f"{host.pack_module(ROOT).__name__}.nodes.host.hook"
    foreign, call, areas = (sys.modules[f"{hook}.{name}"] for name in ("foreign", "call", "areas"))
    model = SimpleNamespace(model_sampling=SimpleNamespace(percent_to_sigma=None))
    image = torch.rand(1, 3, 64, 64)
    options = {"weights": None, "mask": None, "branches": "both", **settings}
    unit = foreign.Foreign(Overflowing(), image=image, canvas_image=image, canvas=(8, 8), vae=None, **options)
    return unit.control(
        call.Call(
            model=model,
            x=torch.zeros(2, 4, 8, 8),
            sigma=torch.ones(2),
            cond={},
            options={"cond_or_uncond": [1, 0]},
            conds=areas.Conds(("cond", "uncond"), {}, (8, 8)),
        ),
        1.0,
    )


def test_where_the_mask_is_0(host: Host) -> None:
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., :32] = 1.0
    control = control_of(host, mask=mask)
    for maps in (*control["output"], *control["middle"]):
        assert torch.isinf(maps[..., :4]).all() and not maps[..., 4:].any()


@pytest.mark.parametrize("branches", ["both", "cond"])
def test_where_the_weight_is_0(host: Host, branches: str) -> None:
    control = control_of(host, weights=ConnectionWeights((0.0, 1.0)), branches=branches)
    assert not control["output"][0].any() and torch.isinf(control["middle"][0][1]).all()


def test_on_the_rows_of_the_other_branch(host: Host) -> None:
    for maps in (*control_of(host, branches="cond")["output"], *control_of(host, branches="cond")["middle"]):
        assert not maps[0].any() and torch.isinf(maps[1]).all()


@pytest.mark.parametrize("kind", ["ours", "foreign"])
def test_a_control_that_overflows_is_named_once_after_the_run(host: Host, graph_of, our_net, host_net, kind) -> None:
    good = host.give(our_net("narrow"))
    if kind == "ours":
        bad = our_net("narrow", seed=77)  # of no other test
    else:
        bad = host.run({"net": host_net("narrow", seed=78)}, keep={"net": ["net", 0]})["net"]
    list(bad.control_model.parameters())[-1].data.fill_(torch.inf)
    graph = with_our_control(graph_of(steps=3), good, host.give(picture()), name="a")
    graph = with_our_control(graph, host.give(bad), host.give(picture(seed=1)), name="b")
    graph = with_our_control(graph, good, host.give(picture(seed=2)), name="c")
    (notice,) = host.run(graph, keep={"latent": ["sampler", 0]}).sent("zeroctl.notice")
    assert notice["title"] == "Control overflowed" and notice["severity"] == "warn"
    assert notice["text"].startswith("control 2 (") and "not finite" in notice["text"]
    graph["b control"]["inputs"]["enabled"] = False
    (notice,) = host.run(graph, keep={"latent": ["sampler", 0]}).sent("zeroctl.notice")
    assert notice["title"] == "Control never acted" and "is switched off" in notice["text"]
