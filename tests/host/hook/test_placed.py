"""Condition images on the canvas: once for an unchanged graph, gone with the image, heard and said while it lasts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from control_graphs import latents, picture, with_our_control
from host_process import NodeFailed

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def module(host) -> Any:
    return sys.modules[f"{host.pack_module(ROOT).__name__}.nodes.host.hook.placed"]


def counted_placing(module: Any, monkeypatch: Any) -> list[tuple[int, ...]]:
    """The shapes of the images that are placed from now on."""
    shapes, place = [], module.resize_condition

    def counting(image: torch.Tensor, *args: Any, **options: Any) -> Any:
        shapes.append(tuple(image.shape))
        return place(image, *args, **options)

    monkeypatch.setattr(module, "resize_condition", counting)
    return shapes


def test_an_unchanged_graph_places_its_image_once(host, graph_of, our_net, module, monkeypatch) -> None:
    shapes = counted_placing(module, monkeypatch)
    graph = with_our_control(graph_of(), host.give(our_net("thin")), host.give(picture(80, 96)), resize="fit")
    model = host.run(graph, keep={"model": ["ours", 0]})["model"]
    again = {**graph, "ours": host.give(model)}
    first = latents(host, again)
    assert torch.equal(latents(host, again), first)
    assert shapes == [(1, 3, 80, 96)]
    other = {**graph_of(size=96), "ours": host.give(model)}
    other["sampler"]["inputs"]["model"] = ["ours", 0]
    latents(host, other)
    assert len(shapes) == 2, "another canvas"


def test_what_is_kept_goes_with_its_image_and_stays_below_the_bound(module, monkeypatch) -> None:
    images = module.PlacedImages()
    pictures = [picture(8, 8).movedim(-1, 1) for _ in range(4)]
    results = [images.get(one, 16, 16, "fit").image for one in pictures]
    assert images.size() == 4 * 3 * 16 * 16 * 4
    addresses = [images.get(pictures[0], 16, 16, mode).image.data_ptr() for mode in ("fit", "stretch")]
    assert addresses[0] == results[0].data_ptr() != addresses[1], "another mode"
    assert images.get(pictures[0], 16, 16, "fit").image is not results[0], "what a run keeps of it ends with the run"
    del pictures[1:]
    assert images.size() == 2 * 3 * 16 * 16 * 4
    monkeypatch.setattr(module, "MOST_BYTES", 3 * 16 * 16 * 4)
    last = picture(8, 8).movedim(-1, 1)
    result = images.get(last, 16, 16, "fit").image
    assert images.size() == 3 * 16 * 16 * 4 and images.get(last, 16, 16, "fit").image.data_ptr() == result.data_ptr()
    large = picture(8, 8, batch=2).movedim(-1, 1)
    assert images.get(large, 16, 16, "fit").image.shape[0] == 2 and images.size() == 0, "too large to be kept"


def test_an_interruption_is_heard_between_two_pictures(host, graph_of, our_net, module, monkeypatch) -> None:
    progress = module._Progress.__call__
    numbers = []

    def interrupting(self: Any, number: int) -> None:
        numbers.append(number)
        if number == 1:
            host.nodes.interrupt_processing()
        progress(self, number)

    monkeypatch.setattr(module._Progress, "__call__", interrupting)
    image = host.give(picture(80, 96, batch=3))
    graph = with_our_control(graph_of(batch=3), host.give(our_net("thin")), image, resize="stretch")
    with pytest.raises(NodeFailed, match="interrupted"):
        latents(host, graph)
    assert numbers == [0, 1]


def test_a_long_batch_is_announced_once(module, monkeypatch) -> None:
    notices = []
    monkeypatch.setattr(module, "notice", lambda *words: notices.append(words))
    monkeypatch.setattr(module, "PATIENCE", -1.0)
    image = picture(8, 8, batch=3).movedim(-1, 1)
    module.PlacedImages().get(image, 16, 24, "fit")
    text = "0 of 3 condition images are on the canvas of 24x16; the next run keeps them."
    assert notices == [("Placing condition images", text, "info")]
