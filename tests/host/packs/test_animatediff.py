"""AnimateDiff-Evolved's context windows: every frame sees its own condition image and mask.

Without a motion model frames are independent of each other, so the windowed run must be the plain one.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from control_graphs import largest_difference, picture, with_our_control
from host_graphs import Graph, node

FRAMES = 6
CLOSE = 1e-3
SEEN = 0.1
OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "static": ("ADE_StandardStaticContextOptions", {}),
    "uniform": ("ADE_StandardUniformContextOptions", {}),
    "looped": ("ADE_LoopedUniformContextOptions", {}),
    "batched": ("ADE_BatchedContextOptions", {}),
    # frames far from each other in one window, and windows over the end
    "strided": ("ADE_LoopedUniformContextOptions", {"context_stride": 2, "closed_loop": True}),
    "uneven": ("ADE_BatchedContextOptions", {"context_length": 4}),
}


@pytest.fixture(autouse=True)
def pack(load_pack) -> None:
    load_pack("ComfyUI-AnimateDiff-Evolved")


def defaults(host: Any, class_type: str) -> dict[str, Any]:
    """The defaults of a node's required widgets."""
    values = {}
    for name, spec in host.nodes.NODE_CLASS_MAPPINGS[class_type].INPUT_TYPES()["required"].items():
        options = spec[1] if len(spec) > 1 else {}
        if "default" in options:
            values[name] = options["default"]
        elif isinstance(spec[0], list):
            values[name] = spec[0][0]
    return values


def evolved(host: Any, graph: Graph, options: str, settings: dict[str, Any]) -> Graph:
    """The graph with windows of three frames, if nothing else is set, on the MODEL's way into the sampler."""
    inputs = {**defaults(host, options), "context_length": 3}
    if "context_overlap" in inputs:
        inputs["context_overlap"] = 1
    inputs |= settings
    sampler = graph["sampler"]["inputs"]
    graph = {**graph, "context": node(options, **inputs)}
    graph["evolved"] = node(
        "ADE_UseEvolvedSampling", model=sampler["model"], beta_schedule="use existing", context_options=["context", 0]
    )
    return {**graph, "sampler": {**graph["sampler"], "inputs": {**sampler, "model": ["evolved", 0]}}}


CASES = [(name, "apply", FRAMES) for name in OPTIONS]
CASES += [("looped", "windows", FRAMES), ("static", "windows", 1), ("uniform", "windows", 2), ("batched", "windows", 3)]


@pytest.mark.parametrize(("options", "first", "images"), CASES)
def test_a_windowed_run_is_the_plain_one(host, graph_of, our_net, options, first, images) -> None:
    """Whichever of the two nodes comes first, with an image and a mask for each frame, with two or three that take
    turns, and with one for all, in silence."""
    net, pictures = host.give(our_net("thin")), host.give(picture(batch=images))
    masks = torch.rand(images, 64, 64, generator=torch.Generator().manual_seed(4))
    mask = {"mask": ["masks", 0], "extra": {"masks": host.give(masks)}}
    graph = graph_of("thin", batch=FRAMES, steps=2)
    if first == "apply":
        both = evolved(host, with_our_control(graph, net, pictures, **mask), *OPTIONS[options])
    else:
        both = with_our_control(evolved(host, graph, *OPTIONS[options]), net, pictures, **mask)
    plain = host.run(with_our_control(graph, net, pictures, **mask), keep={"latent": ["sampler", 0]})
    result = host.run(both, keep={"latent": ["sampler", 0]})
    frames = list(zip(plain["latent"]["samples"], result["latent"]["samples"], strict=True))
    apart = [largest_difference(one, other) for one, other in frames]
    print(f"\n{options}, {first} first, images: {images}: " + " ".join(f"{d:.1e}" for d in apart))
    assert max(apart) <= CLOSE
    assert not result.sent("zeroctl.notice")
    if images > 1:
        assert largest_difference(plain["latent"]["samples"][0], plain["latent"]["samples"][1]) > SEEN
