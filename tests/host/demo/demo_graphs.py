"""Graphs on the embedded model that tests start from."""

from __future__ import annotations

from typing import Any

from control_graphs import with_host_control, with_our_control
from host_graphs import Graph, node
from torch import Tensor

from zeroctl_core.demo.conditions import CONDITIONS
from zeroctl_core.demo.rendering import Rendering, render
from zeroctl_core.demo.scene import SIZE, scene

PROMPT = "a red star on a blue background"
EDGES = node("ZeroctlLoadControlNet", control_net_name="zeroctl/edges")


def demo_graph(prompt: str = PROMPT, size: int = SIZE, **sampler: Any) -> Graph:
    """ZeroctlDemoModel -> CLIPTextEncode twice -> KSampler."""
    options = {"seed": 1, "steps": 3, "cfg": 3.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}
    return {
        "demo": node("ZeroctlDemoModel"),
        "positive": node("CLIPTextEncode", text=prompt, clip=["demo", 1]),
        "negative": node("CLIPTextEncode", text="", clip=["demo", 1]),
        "latent": node("EmptyLatentImage", width=size, height=size, batch_size=1),
        "sampler": node(
            "KSampler",
            model=["demo", 0],
            positive=["positive", 0],
            negative=["negative", 0],
            latent_image=["latent", 0],
            **{**options, **sampler},
        ),
    }


def a_rendering(index: int = 0) -> Rendering:
    return render([scene(3, index, "held_out", shapes_only=True)])


def edges_of_a_scene() -> Tensor:
    """A condition image as the host passes it, [1, 192, 192, 3]."""
    return CONDITIONS["edges"](a_rendering()).movedim(1, -1)


def controlled(host: Any, graph: Graph, by: str, **inputs: Any) -> Graph:
    """The graph with the embedded edge control: `by` is `nobody`, `ours` (ZeroctlApply) or `host` (its own Apply)."""
    if by == "nobody":
        return graph
    image = host.give(edges_of_a_scene())
    return (with_our_control if by == "ours" else with_host_control)(graph, EDGES, image, **inputs)
