"""A control that never acted is told the one cause that is so."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from control_graphs import picture, with_our_control
from host_graphs import node
from host_process import Host

from zeroctl_core import Schedule
from zeroctl_core.control.steps import Steps
from zeroctl_core.network.noise_levels import sd_percent_to_sigma

ROOT = Path(__file__).resolve().parents[3]
SAMPLING = SimpleNamespace(percent_to_sigma=sd_percent_to_sigma)
STEPS = Steps([14.6, 1.0, 0.0])
CLOSED = Schedule(20.0, 15.0, "sigma")


@pytest.mark.parametrize(
    ("schedule", "branches", "roles", "why", "not_why"),
    [
        (CLOSED, "both", {"cond"}, "its window, 20 to 15 in sigma, holds none of the run's 2 steps", "past|branches"),
        (CLOSED, "uncond", set(), "its window, .* holds none", "past|branches"),
        (Schedule(), "both", set(), "a node called the UNet past ComfyUI's own way", "window|branches"),
        (
            Schedule(),
            "uncond",
            {"cond"},
            "its branches are uncond, and the run had no such .*, only cond",
            "window|past",
        ),
        (
            Schedule(0.0, 0.1),
            "both",
            {"cond"},
            "the steps in its window, 0 to 0.1 in timestep, were skipped",
            "branches",
        ),
    ],
)
def test_the_cause_that_is_so_and_no_other(
    host: Host, schedule: Any, branches: str, roles: set[str], why: str, not_why: str
) -> None:
    package = f"{host.pack_module(ROOT).__name__}.nodes.host"
    never, units = sys.modules[f"{package}.hook.never_acted"], sys.modules[f"{package}.units"]
    unit = units.Unit(control_net=None, image=torch.zeros(1, 3, 8, 8), schedule=schedule, branches=branches)
    words = never.why_never_acted(unit, SimpleNamespace(steps=STEPS, roles=roles), SAMPLING)
    assert re.search(why, words) and not re.search(not_why, words), words


@pytest.mark.parametrize("invert", [False, True])
def test_a_mask_of_nothing_is_named(host, graph_of, our_net, invert) -> None:
    mask = {"m": host.give(torch.full((1, 64, 64), float(invert)))}
    graph = with_our_control(
        graph_of(),
        host.give(our_net("narrow")),
        host.give(picture()),
        extra=mask,
        mask=["m", 0],
        mask_invert=invert,
        mask_feather=4.0,
    )
    texts = [notice["text"] for notice in host.run(graph, keep={"latent": ["sampler", 0]}).sent("zeroctl.notice")]
    assert any("mask" in text and "0" in text for text in texts) and not any("window" in text for text in texts), texts


class CallsPast:
    """A node as DeepCache is one: it calls the network itself."""

    def __call__(self, apply_model: Any, arguments: dict[str, Any]) -> torch.Tensor:
        return arguments["input"]


def test_a_node_that_calls_the_unet_past_the_hook_is_the_cause_that_is_said(host, graph_of, our_net) -> None:
    graph = with_our_control(graph_of(), host.give(our_net("narrow")), host.give(picture()))
    model = host.run(graph, keep={"model": ["ours", 0]})["model"].clone()
    model.set_model_unet_function_wrapper(CallsPast())
    graph["sampler"]["inputs"]["model"] = ["past", 0]
    result = host.run({**graph, "past": host.give(model)}, keep={"latent": ["sampler", 0]})
    (notice,) = result.sent("zeroctl.notice")
    assert "called the UNet past" in notice["text"] and "window" not in notice["text"]


def test_a_branch_that_never_came_is_named(host, graph_of, our_net) -> None:
    graph = with_our_control(graph_of(cfg=1.0), host.give(our_net("narrow")), host.give(picture()), branches="uncond")
    (notice,) = host.run(graph, keep={"latent": ["sampler", 0]}).sent("zeroctl.notice")
    assert "its branches are uncond" in notice["text"] and "window" not in notice["text"]
    closed = node("ZeroctlSchedule", start=20.0, end=15.0, unit="sigma", curve="", interpolation="linear")
    graph = with_our_control(
        graph_of(), host.give(our_net("narrow")), host.give(picture()), extra={"s": closed}, schedule=["s", 0]
    )
    (notice,) = host.run(graph, keep={"latent": ["sampler", 0]}).sent("zeroctl.notice")
    assert "holds none of the run's 2 steps" in notice["text"] and "branch" not in notice["text"]
