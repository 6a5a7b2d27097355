"""Nodes that skip, compile or reshape the UNet, together with a control in the MODEL."""
from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from control_graphs import counted, largest_difference, latents, picture, with_host_control, with_our_control
from host_graphs import Graph, node

CLOSE = 1e-4
COMPILED = 1e-3  # inductor fuses, and so rounds otherwise
FELT = 1e-2


def patched(graph: Graph, class_type: str, first: bool, **inputs: Any) -> Graph:
    """The graph with a node on the MODEL: behind our Apply, or (`first`) between the MODEL and our Apply."""
    place = graph["ours"]["inputs"] if first else graph["sampler"]["inputs"]
    graph[class_type] = node(class_type, model=place["model"], **inputs)
    place["model"] = [class_type, 0]
    return graph


@pytest.mark.parametrize("first", [True, False], ids=["before our Apply", "behind our Apply"])
def test_easycache_skips_the_control_with_the_unet(host, graph_of, our_net, model_of, first) -> None:
    net, unet = our_net("thin"), model_of("thin").model.diffusion_model
    graph = with_our_control(graph_of(steps=12), host.give(net), host.give(picture()))
    with counted(unet) as full_unet:
        latents(host, graph)
    graph = patched(graph, "EasyCache", first, reuse_threshold=3.0, start_percent=0.1, end_percent=0.9, verbose=False)
    # EasyCache wraps the inside of the UNet's forward, so its outside is called at every step: count a block
    with counted(unet.input_blocks[0][0]) as blocks, counted(net.control_model.net) as called:
        samples = latents(host, graph)
    assert torch.isfinite(samples).all()
    assert len(full_unet) == 12 and 2 <= len(blocks) < 12, "EasyCache skipped nothing, or everything: the test shows nothing"
    assert len(called) == len(blocks)


def test_lazycache_skips_both(host, graph_of, our_net, model_of) -> None:
    net, unet = our_net("thin"), model_of("thin").model.diffusion_model
    graph = with_our_control(graph_of(steps=12), host.give(net), host.give(picture()))
    graph = patched(graph, "LazyCache", False, reuse_threshold=3.0, start_percent=0.1, end_percent=0.9, verbose=False)
    with counted(unet) as unets, counted(net.control_model.net) as called:
        latents(host, graph)
    assert 2 <= len(unets) < 12 and len(called) == len(unets)


@pytest.mark.parametrize("first", [True, False], ids=["before our Apply", "behind our Apply"])
def test_a_compiled_unet_gives_the_same_latents(host, graph_of, our_net, first) -> None:
    graph = with_our_control(graph_of(steps=2), host.give(our_net("thin")), host.give(picture()))
    eager = latents(host, graph)
    torch._dynamo.reset()
    try:
        compiled = latents(host, patched(graph, "TorchCompileModel", first, backend="inductor"))
    finally:
        torch._dynamo.reset()
    assert largest_difference(eager, compiled) <= COMPILED


@pytest.mark.parametrize("after_skip", [True, False])
@pytest.mark.parametrize("block", [1, 2, 3])
def test_deep_shrink_keeps_the_control(host, graph_of, our_net, caplog, block, after_skip) -> None:
    """The host drops residuals of another size with one line in the log; here each is fitted, with one notice."""
    shrink = {"block_number": block, "downscale_factor": 2.0, "start_percent": 0.0, "end_percent": 1.0,
              "downscale_after_skip": after_skip, "downscale_method": "bicubic", "upscale_method": "bicubic"}
    graph = graph_of(size=128, steps=2)
    controlled = with_our_control(graph, host.give(our_net("thin")), host.give(picture(128, 128)))
    with_shrink = patched(controlled, "PatchModelAddDownscale", False, **shrink)
    plain = {**graph, "shrink": node("PatchModelAddDownscale", model=["model", 0], **shrink)}
    plain["sampler"] = {**plain["sampler"], "inputs": {**plain["sampler"]["inputs"], "model": ["shrink", 0]}}
    with caplog.at_level(logging.WARNING):
        result = host.run(with_shrink, keep={"latent": ["sampler", 0]})
    assert not [record for record in caplog.records if "could not be applied" in record.getMessage()]
    assert largest_difference(result["latent"]["samples"], latents(host, plain)) > FELT
    told = [data for data in result.sent("zeroctl.notice") if data["title"] == "Control resized"]
    assert len(told) <= 4 and (told or block == 3)  # a size is said once, whatever the number of steps


def test_where_deep_shrink_drops_nothing_the_host_agrees(host, graph_of, our_net, host_net) -> None:
    """With a window that never opens both see the UNet's own sizes."""
    graph, image = graph_of(size=128, steps=2), host.give(picture(128, 128))
    shrink = {"block_number": 2, "downscale_factor": 2.0, "start_percent": 1.0, "end_percent": 1.0,
              "downscale_after_skip": True, "downscale_method": "bicubic", "upscale_method": "bicubic"}
    theirs = with_host_control(graph, host_net("thin"), image)
    theirs["shrink"] = node("PatchModelAddDownscale", model=["model", 0], **shrink)
    theirs["sampler"]["inputs"]["model"] = ["shrink", 0]
    ours = patched(with_our_control(graph, host.give(our_net("thin")), image), "PatchModelAddDownscale", False, **shrink)
    assert largest_difference(latents(host, theirs), latents(host, ours)) <= CLOSE


@pytest.mark.parametrize(("class_type", "inputs"), [
    ("HyperTile", {"tile_size": 64, "swap_size": 1, "max_depth": 0, "scale_depth": False}),
    ("FreeU", {"b1": 1.1, "b2": 1.2, "s1": 0.9, "s2": 0.2}),
    ("FreeU_V2", {"b1": 1.3, "b2": 1.4, "s1": 0.9, "s2": 0.2}),
    ("RescaleCFG", {"multiplier": 0.7}),
    ("TomePatchModel", {"ratio": 0.3}),
])
def test_patches_of_the_unet_equal_the_hosts_apply(host, graph_of, our_net, host_net, class_type, inputs) -> None:
    graph, image = graph_of(steps=2), host.give(picture())
    theirs = with_host_control(graph, host_net("thin"), image)
    theirs["patch"] = node(class_type, model=["model", 0], **inputs)
    theirs["sampler"]["inputs"]["model"] = ["patch", 0]
    torch.manual_seed(5)  # some of these draw numbers of their own
    wanted = latents(host, theirs)
    for first in (True, False):
        ours = patched(with_our_control(graph, host.give(our_net("thin")), image), class_type, first, **inputs)
        torch.manual_seed(5)
        assert largest_difference(wanted, latents(host, ours)) <= CLOSE


def test_a_function_wrapper_around_the_model_is_kept(host, model_of, graph_of, our_net, host_net) -> None:
    calls = []

    def wrapper(apply_model: Any, args: dict[str, Any]) -> torch.Tensor:
        calls.append(args["input"].shape[0])
        return apply_model(args["input"], args["timestep"], **args["c"])

    model = model_of("thin").clone()
    model.set_model_unet_function_wrapper(wrapper)
    graph, image = graph_of(steps=2), host.give(picture())
    graph["model"] = host.give(model)
    theirs = latents(host, with_host_control(graph, host_net("thin"), image))
    calls.clear()
    ours = latents(host, with_our_control(graph, host.give(our_net("thin")), image))
    assert largest_difference(theirs, ours) <= CLOSE and calls == [2, 2]
