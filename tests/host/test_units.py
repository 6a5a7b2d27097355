"""Masks, batches and shared work of one sampling run, and the room that the host is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from control_graphs import counted, largest_difference, latents, picture, with_our_control

FELT = 1e-2


def test_a_chained_apply_shares_the_run_of_the_same_net(host, graph_of, our_net) -> None:
    net = our_net("narrow")
    graph = with_our_control(graph_of(steps=2), host.give(net), image := host.give(picture()), name="a", strength=0.5)
    graph = with_our_control(graph, graph["a net"], image, name="b", strength=0.5)
    graph["b control"]["inputs"].update(control_net=["a net", 0], image=["a image", 0])
    with counted(net.control_model.net) as calls:
        latents(host, graph)
    assert list(calls) == [2, 2]


def test_the_memory_estimate_grows_by_the_control(host, graph_of, our_net, monkeypatch) -> None:
    import comfy.sampler_helpers

    shapes = []
    real = comfy.sampler_helpers.estimate_memory

    def recorded(model: Any, shape: Any, *args: Any) -> Any:
        shapes.append(list(shape))
        return real(model, shape, *args)

    monkeypatch.setattr(comfy.sampler_helpers, "estimate_memory", recorded)
    graph = graph_of()
    latents(host, graph)
    latents(host, with_our_control(graph, host.give(our_net("narrow")), host.give(picture())))
    assert shapes[0][0] == 1 and 1.0 < shapes[1][0] < 3.0 and shapes[0][1:] == shapes[1][1:]


SIDE = 72  # of a condition image for a canvas of 64: no weight of the network has this size


def is_picture(value: torch.Tensor) -> bool:
    return value.ndim == 4 and 3 in (value.shape[1], value.shape[3]) and value.shape[2] >= 64


def is_mask(value: torch.Tensor) -> bool:
    return value.ndim >= 3 and value.shape[-2] == value.shape[-1] >= 64 and value.numel() <= SIDE**2


def test_a_picture_and_a_mask_are_scanned_once_from_node_to_network(host, graph_of, our_net, monkeypatch) -> None:
    scans: list[str] = []

    def counting(kind: str, of_this_kind: Callable[[torch.Tensor], bool], function: Callable[..., Any]) -> Any:
        def scan(value: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            if of_this_kind(value):
                scans.append(kind)
            return function(value, *args, **kwargs)

        return scan

    monkeypatch.setattr(torch, "isfinite", counting("picture", is_picture, torch.isfinite))
    monkeypatch.setattr(torch.Tensor, "amin", counting("picture", is_picture, torch.Tensor.amin))
    for name in ("aminmax", "min", "max"):
        monkeypatch.setattr(torch.Tensor, name, counting("mask", is_mask, getattr(torch.Tensor, name)))
    net, image, mask = our_net("narrow"), picture(SIDE, SIDE), torch.rand(1, SIDE, SIDE)
    latents(
        host,
        with_our_control(
            graph_of(), host.give(net), host.give(image), extra={"mask": host.give(mask)}, mask=["mask", 0]
        ),
    )
    assert sorted(scans) == ["mask", "picture"]


@pytest.mark.parametrize("images", [2, 3])
def test_images_that_do_not_divide_the_batch_are_said(host, graph_of, our_net, images) -> None:
    graph = with_our_control(
        graph_of(batch=2 if images == 3 else 3), host.give(our_net("narrow")), host.give(picture(batch=images))
    )
    notices = host.run(graph, keep={"latent": ["sampler", 0]}).sent("zeroctl.notice")
    assert [data["title"] for data in notices] == ["Batch"]


def test_a_mask_keeps_the_control_inside(host, graph_of, our_net) -> None:
    graph, image, net = graph_of(size=128, steps=1), host.give(picture(128, 128)), host.give(our_net("narrow"))
    plain, full = latents(host, graph), latents(host, with_our_control(graph, net, image))

    def masked(mask: torch.Tensor, **inputs: Any) -> torch.Tensor:
        return latents(
            host, with_our_control(graph, net, image, mask=["mask", 0], extra={"mask": host.give(mask)}, **inputs)
        )

    assert torch.equal(masked(torch.zeros(1, 128, 128)), plain)
    assert torch.equal(masked(torch.ones(1, 128, 128)), full)
    assert torch.equal(masked(torch.zeros(1, 32, 32), mask_invert=True), full)
    half = torch.zeros(1, 128, 128)
    half[..., :64] = 1
    one, other = masked(half), masked(half, mask_invert=True)
    assert largest_difference(one, other) > FELT and largest_difference(one, plain) > FELT
