"""Graphs with controls, once through the host's own Apply and once through ours, and counts of what ran."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from host_graphs import Graph, node
from torch import Tensor, nn

TRAINED_SPREAD = 5.0  # standard deviation of what a KSampler returns on SD 1.5: 0.9 / 0.18215

CONTROL = {
    "strength": 1.0,
    "start": 0.0,
    "end": 1.0,
    "mode": "balanced",
    "resize": "crop",
    "enabled": True,
    "branches": "from mode",
    "mask_feather": 0.0,
    "mask_invert": False,
}

SCHEDULE = {"start": 0.0, "end": 1.0, "unit": "steps", "curve": "", "interpolation": "linear", "steps": 0}


def picture(height: int = 64, width: int = 64, batch: int = 1, seed: int = 0) -> Tensor:
    """A random condition image [B, H, W, 3]: every pixel matters."""
    return torch.rand(batch, height, width, 3, generator=torch.Generator().manual_seed(seed))


def with_host_control(
    graph: Graph, net: Any, image: Any, negative: bool = True, name: str = "host", **inputs: Any
) -> Graph:
    """The graph with the host's Apply ControlNet (Advanced) before its sampler; positive only unless `negative`."""
    sampler = graph["sampler"]["inputs"]
    values = {"strength": 1.0, "start_percent": 0.0, "end_percent": 1.0, **inputs}
    graph = {
        **graph,
        f"{name} net": net,
        f"{name} image": image,
        name: node(
            "ControlNetApplyAdvanced",
            positive=sampler["positive"],
            negative=sampler["negative"],
            control_net=[f"{name} net", 0],
            image=[f"{name} image", 0],
            **values,
        ),
    }
    linked = {"positive": [name, 0], **({"negative": [name, 1]} if negative else {})}
    return {**graph, "sampler": {**graph["sampler"], "inputs": {**sampler, **linked}}}


def with_our_control(
    graph: Graph,
    net: Any,
    image: Any,
    name: str = "ours",
    if_never_applied: str = "warn",
    extra: Graph | None = None,
    **inputs: Any,
) -> Graph:
    """The graph with ZeroctlControl and ZeroctlApply before the MODEL input of its sampler."""
    sampler = graph["sampler"]["inputs"]
    graph = {**graph, f"{name} net": net, f"{name} image": image, **(extra or {})}
    graph[f"{name} control"] = node(
        "ZeroctlControl", control_net=[f"{name} net", 0], image=[f"{name} image", 0], **{**CONTROL, **inputs}
    )
    graph[name] = node(
        "ZeroctlApply", model=sampler["model"], stack=[f"{name} control", 0], if_never_applied=if_never_applied
    )
    return {**graph, "sampler": {**graph["sampler"], "inputs": {**sampler, "model": [name, 0]}}}


def latents(host: Any, graph: Graph) -> Tensor:
    """Run the graph; the samples of its sampler."""
    return host.run(graph, keep={"latent": ["sampler", 0]})["latent"]["samples"]


CLOSE = 5e-4
"""Largest difference of latents that are equal but for rounding. Rows that one side computes together and the other one
by one come out 1e-4 apart on AVX-512, and up to 2.6e-4 on AVX2, where a batch is split otherwise."""


def largest_difference(one: Tensor, other: Tensor) -> float:
    """The largest absolute difference, on latents brought to the spread of a trained model's.

    A random UNet takes no noise away: its latents spread over about 100, a trained one's over about 5.
    """
    assert one.shape == other.shape and torch.isfinite(one).all() and torch.isfinite(other).all()
    return float((one - other).abs().max() / max(one.std() / TRAINED_SPREAD, 1.0))


class Count(list[int]):
    """The batch of every call of a module."""


@contextmanager
def counted(module: nn.Module) -> Iterator[Count]:
    """Count the calls of a module, and how many rows each had."""
    calls = Count()
    handle = module.register_forward_pre_hook(
        lambda _, args, kwargs: calls.append(
            next(v for v in (*args, *kwargs.values()) if isinstance(v, Tensor)).shape[0]
        ),
        with_kwargs=True,
    )
    try:
        yield calls
    finally:
        handle.remove()


def scheduled(host: Any, graph: Graph, net: Any, policy: str = "error", **schedule: Any) -> Graph:
    """The graph with our control under a schedule, and an error where it never acts."""
    window = node("ZeroctlSchedule", **{**SCHEDULE, **schedule})
    return with_our_control(
        graph,
        host.give(net),
        host.give(picture()),
        schedule=["window", 0],
        extra={"window": window},
        if_never_applied=policy,
    )


def titles(result: Any) -> list[str]:
    return [data["title"] for data in result.sent("zeroctl.notice")]
