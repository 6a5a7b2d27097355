"""Condition images and masks on the canvas: once for a graph, gone with their memory, heard and said while it lasts."""

from __future__ import annotations

import sys
from functools import partial
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


@pytest.fixture(autouse=True)
def store(module, monkeypatch) -> Any:
    """Empty at the beginning of every test."""
    store = type(module.KEPT)()
    monkeypatch.setattr(module, "KEPT", store)
    return store


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
    graph = with_our_control(graph_of(), host.give(our_net("narrow")), host.give(picture(80, 96)), resize="fit")
    model = host.run(graph, keep={"model": ["ours", 0]})["model"]
    again = {**graph, "ours": host.give(model)}
    first = latents(host, again)
    assert torch.equal(latents(host, again), first)
    assert shapes == [(1, 3, 80, 96)]
    other = {**graph_of(size=96), "ours": host.give(model)}
    other["sampler"]["inputs"]["model"] = ["ours", 0]
    latents(host, other)
    assert len(shapes) == 2, "another canvas"


def test_another_strength_places_neither_image_nor_mask_anew(host, graph_of, our_net, module, monkeypatch) -> None:
    """ControlNet Control then runs again, and hands on new views of the same memory."""
    shapes, masks = counted_placing(module, monkeypatch), []
    place = module.prepared_mask
    monkeypatch.setattr(module, "prepared_mask", lambda mask, **options: masks.append(mask) or place(mask, **options))
    net, image = host.give(our_net("narrow")), host.give(picture(80, 96))
    graph = {**graph_of(), "mask": host.give(torch.rand(1, 40, 48))}
    for strength in (1.0, 0.5, 0.25):
        latents(host, with_our_control(graph, net, image, resize="fit", mask=["mask", 0], strength=strength))
    assert len(shapes) == len(masks) == 1
    for setting in ({"mask_invert": True}, {"mask_feather": 8.0}):
        latents(host, with_our_control(graph, net, image, resize="fit", mask=["mask", 0], **setting))
    assert len(shapes) == 1 and len(masks) == 3


def test_an_image_that_somebody_changes_in_place_is_placed_anew(module) -> None:
    image = picture(80, 96).movedim(-1, 1)
    before = module.placed_image(image, 16, 16, "stretch").image
    image[:, :, 40:60, 40:60] = 1 - image[:, :, 40:60, 40:60]
    after = module.placed_image(image, 16, 16, "stretch").image
    assert not torch.equal(before, after)
    large = torch.rand(1, 3, 2048, 2048)
    before = module.placed_image(large, 16, 16, "stretch").image
    large[:, :, 100:110, 200:210] = 0
    assert not torch.equal(before, module.placed_image(large, 16, 16, "stretch").image)


@pytest.mark.parametrize("place", [(0, 0), (1, 2), (2047, 1001), (4095, 4095)])
@pytest.mark.parametrize("as_numpy", [False, True])
def test_not_one_pixel_can_be_changed_unseen(store, place, as_numpy) -> None:
    """Of a mask, of an image as the host hands it on, and of a part of one."""
    mask, image = torch.rand(1, 4096, 4096), torch.rand(1, 1500, 1100, 3)
    sources = {"mask": mask, "image": image.movedim(-1, 1), "part": image.movedim(-1, 1)[..., 40:1060]}
    calls: list[str] = []

    def look() -> list[str]:
        calls.clear()
        for name, source in sources.items():
            store.get(source, name, partial(calls.append, name), lambda _: 8)
        return list(calls)

    assert look() == list(sources) and not look()
    y, x = place
    for memory, expected in ((mask, ["mask"]), (image, ["image", "part"])):
        pixels = memory.numpy() if as_numpy else memory
        pixels[0, y * memory.shape[1] // 4097, 50 + x * (memory.shape[2] - 100) // 4097] += 0.001
        assert look() == expected and not look()


def test_two_pixels_that_change_places_are_seen(store) -> None:
    mask, calls = torch.rand(1, 64, 64), []
    for expected in (1, 2):
        store.get(mask, "mask", partial(calls.append, 1), lambda _: 8)
        assert len(calls) == expected
        mask[0, 3, 4], mask[0, 5, 6] = mask[0, 5, 6].clone(), mask[0, 3, 4].clone()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1), (6, 4)])
def test_any_size_and_type_is_kept(module, store, size, dtype) -> None:
    image, mask = torch.rand(1, *size, 3).to(dtype).movedim(-1, 1), torch.rand(2, *size).to(dtype)
    for one in (image, mask, mask[:1]):
        calls: list[int] = []
        for _ in range(2):
            store.get(one, str(one.shape), partial(calls.append, 1), lambda _: 8)
        assert len(calls) == 1


def test_another_part_of_the_same_memory_is_another_image(module) -> None:
    both = picture(8, 16).movedim(-1, 1)
    left, right = (module.placed_image(both[..., part], 16, 16, "fit").image for part in (slice(8), slice(8, 16)))
    turned = module.placed_image(both[..., :8].mT, 16, 16, "fit").image
    assert not torch.equal(left, right) and torch.equal(turned, left.mT)


def test_what_is_kept_goes_with_its_image_and_stays_below_the_bound(module, store, monkeypatch) -> None:
    pictures = [picture(8, 8).movedim(-1, 1) for _ in range(4)]
    results = [module.placed_image(one, 16, 16, "fit").image for one in pictures]
    assert store.size() == 4 * 3 * 16 * 16 * 4
    addresses = [module.placed_image(pictures[0], 16, 16, mode).image.data_ptr() for mode in ("fit", "stretch")]
    assert addresses[0] == results[0].data_ptr() != addresses[1], "another mode"
    assert module.placed_image(pictures[0], 16, 16, "fit").image is not results[0], "what a run keeps ends with the run"
    del pictures[1:]
    assert store.size() == 2 * 3 * 16 * 16 * 4
    monkeypatch.setattr(sys.modules[type(store).__module__], "MOST_BYTES", 3 * 16 * 16 * 4)
    last = picture(8, 8).movedim(-1, 1)
    result = module.placed_image(last, 16, 16, "fit").image
    assert store.size() == 3 * 16 * 16 * 4
    assert module.placed_image(last, 16, 16, "fit").image.data_ptr() == result.data_ptr()
    large = picture(8, 8, batch=2).movedim(-1, 1)
    assert module.placed_image(large, 16, 16, "fit").image.shape[0] == 2 and store.size() == 0, "too large to be kept"


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
    graph = with_our_control(graph_of(batch=3), host.give(our_net("narrow")), image, resize="stretch")
    with pytest.raises(NodeFailed, match="interrupted"):
        latents(host, graph)
    assert numbers == [0, 1]


def test_a_long_batch_is_announced_once(module, monkeypatch) -> None:
    notices = []
    monkeypatch.setattr(module, "notice", lambda *words: notices.append(words))
    monkeypatch.setattr(module, "PATIENCE", -1.0)
    image = picture(8, 8, batch=3).movedim(-1, 1)
    module.placed_image(image, 16, 24, "fit")
    text = "0 of 3 condition images are on the canvas of 24x16; the next run keeps them."
    assert notices == [("Placing condition images", text, "info")]


def test_a_long_feather_of_one_mask_is_announced_and_heard(host, module, our_net, monkeypatch) -> None:
    unit = sys.modules[f"{host.pack_module(ROOT).__name__}.nodes.host.units"].Unit(
        control_net=our_net("narrow"), image=torch.zeros(1, 3, 8, 600), mask_feather=40.0
    )
    notices, pauses = [], []
    monkeypatch.setattr(module, "notice", lambda *words: notices.append(words))
    monkeypatch.setattr(module, "PATIENCE", -1.0)
    module.placed_mask(unit, torch.rand(1, 8, 600), (8, 600))
    text = "0 of 1 masks are on the canvas of 600x8; the next run keeps them."
    assert notices == [("Placing masks", text, "info")]
    pause = module._Progress.pause

    def interrupting(self: Any) -> None:
        pauses.append(1)
        if len(pauses) == 3:  # the first is before the mask
            host.nodes.interrupt_processing()
        pause(self)

    monkeypatch.setattr(module._Progress, "pause", interrupting)
    with pytest.raises(BaseException) as caught:  # what it derives from differs between hosts
        module.placed_mask(unit, torch.rand(1, 8, 600), (8, 600))
    assert type(caught.value).__name__ == "InterruptProcessingException" and len(pauses) == 3
