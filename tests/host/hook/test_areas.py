"""Area conds and masks in the host: a crop of the latent sees the same crop of the condition."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch
from control_graphs import CLOSE, counted, largest_difference, latents, picture, with_host_control, with_our_control
from host_graphs import Graph, node

SEEN = 1e-3  # by what another crop of the condition moves them at least
SIDE = 128  # pixels of the canvas, 16 cells


class Area(NamedTuple):
    """The node that sets an area, its values, and the pixels of the canvas that the host really gives it."""

    node: str
    values: dict[str, Any]
    y: int
    x: int
    height: int
    width: int

    def of(self, image: torch.Tensor) -> torch.Tensor:
        """The hand-made crop of an image [B, H, W, C] (or a mask [B, H, W]) of the canvas's size."""
        return image[:, self.y : self.y + self.height, self.x : self.x + self.width]

    def cells(self, latent: torch.Tensor) -> torch.Tensor:
        return latent[..., self.y // 8 : (self.y + self.height) // 8, self.x // 8 : (self.x + self.width) // 8]


PIXELS = Area("ConditioningSetArea", {"width": 64, "height": 96, "x": 64, "y": 32}, y=32, x=64, height=96, width=64)
PERCENT = Area(
    "ConditioningSetAreaPercentage", {"width": 0.5, "height": 0.75, "x": 0.25, "y": 0.0}, y=0, x=32, height=96, width=64
)
CLIPPED = Area("ConditioningSetArea", {"width": 96, "height": 64, "x": 64, "y": 96}, y=96, x=64, height=32, width=64)
TOP, BOTTOM = (
    Area("ConditioningSetArea", {"width": 64, "height": 64, "x": at, "y": at}, y=at, x=at, height=64, width=64)
    for at in (0, 64)
)
AREAS = pytest.mark.parametrize("area", [PIXELS, PERCENT, CLIPPED], ids=["cells", "percent", "clipped"])


def with_area(graph: Graph, area: Area, text: str = "positive", name: str = "area") -> Graph:
    """The graph with one cond more: `text` in an area, nothing linked to it yet."""
    return {**graph, name: node(area.node, conditioning=[text, 0], strength=1.0, **area.values)}


def blocks(size: int = SIDE, batch: int = 1, seed: int = 0) -> torch.Tensor:
    """A condition image [B, H, W, 3] of 16 plain squares, with twice the contrast of a picture.

    Which squares a crop holds moves a random net more than which noise.
    """
    squares = torch.rand(batch, 4, 4, 3, generator=torch.Generator().manual_seed(seed)).round() * 2
    return squares.repeat_interleave(size // 4, 1).repeat_interleave(size // 4, 2) - 0.5


def difference_in(area: Area, one: torch.Tensor, other: torch.Tensor) -> float:
    """Only in the area: where no cond is, the host leaves zeros, which do not measure the latents' spread."""
    return largest_difference(area.cells(one), area.cells(other))


def linked(graph: Graph, **inputs: Any) -> Graph:
    """The graph with other links into its sampler."""
    return {**graph, "sampler": {**graph["sampler"], "inputs": {**graph["sampler"]["inputs"], **inputs}}}


def with_host_apply(graph: Graph, cond: str, net: Any, image: Any, name: str) -> Graph:
    """The graph with the host's Apply on one CONDITIONING."""
    return {
        **graph,
        f"{name} net": net,
        f"{name} image": image,
        name: node(
            "ControlNetApplyAdvanced",
            positive=[cond, 0],
            negative=[cond, 0],
            control_net=[f"{name} net", 0],
            image=[f"{name} image", 0],
            strength=1.0,
            start_percent=0.0,
            end_percent=1.0,
        ),
    }


def combined(graph: Graph, name: str, *conds: str) -> Graph:
    """The graph with the conds of several nodes in one list."""
    last = conds[0]
    for number, cond in enumerate(conds[1:]):
        step = name if number == len(conds) - 2 else f"{name} {number}"
        graph = {**graph, step: node("ConditioningCombine", conditioning_1=[last, 0], conditioning_2=[cond, 0])}
        last = step
    return graph


@AREAS
def test_an_area_sees_its_crop_on_both_branches(host, graph_of, our_net, host_net, area) -> None:
    """The host squeezes what it is given into the area, so it gets the hand-made crop. Its copy for the negative list
    keeps the area's control, the negative's own cond sees the whole image."""
    graph, image = with_area(graph_of(size=SIDE), area), blocks()
    theirs = with_host_apply(graph, "area", host_net("narrow"), host.give(area.of(image)), "in area")
    theirs = with_host_apply(theirs, "negative", host_net("narrow"), host.give(image), "whole")
    theirs = linked(theirs, positive=["in area", 0], negative=["whole", 0])
    ours = linked(graph, positive=["area", 0])
    ours = with_our_control(ours, host.give(our_net("narrow")), host.give(image))
    result = latents(host, ours)
    assert largest_difference(latents(host, theirs), result) <= CLOSE
    squeezed = {**theirs, "in area image": theirs["whole image"]}
    assert largest_difference(latents(host, squeezed), result) > SEEN


@AREAS
def test_an_area_sees_its_crop_on_the_cond_branch(host, graph_of, our_net, host_net, area) -> None:
    """A negative with the same area is not copied into, so the host can do cond only there."""
    graph, image = with_area(graph_of(size=SIDE), area), blocks()
    graph = with_area(graph, area, "negative", "negative area")
    graph = linked(graph, positive=["area", 0], negative=["negative area", 0])
    theirs = with_host_apply(graph, "area", host_net("narrow"), host.give(area.of(image)), "in area")
    theirs = linked(theirs, positive=["in area", 0])
    ours = with_our_control(graph, host.give(our_net("narrow")), host.give(image), branches="cond")
    assert difference_in(area, latents(host, theirs), latents(host, ours)) <= CLOSE


def test_the_copy_of_an_area_in_the_negative_list_is_not_on_the_cond_branch(
    host, graph_of, our_net, conditioning_of, model_of
) -> None:
    """The host's copy has the area's uuid: cond only must not act on it."""
    graph, net = with_area(graph_of(size=SIDE, steps=1), PIXELS), our_net("narrow")
    graph = with_our_control(linked(graph, positive=["area", 0]), host.give(net), host.give(blocks()), branches="cond")
    contexts: list[torch.Tensor] = []
    handle = net.control_model.net.register_forward_pre_hook(lambda _, args: contexts.append(args[2]))
    try:
        latents(host, graph)
    finally:
        handle.remove()
    (context,) = contexts
    assert torch.equal(context, conditioning_of("narrow", seed=1)[0][0])


@pytest.mark.parametrize("branches", ["both", "cond"])
def test_two_areas_of_one_size_in_one_call_see_their_own_crops(
    host, graph_of, our_net, host_net, conditioning_of, model_of, branches
) -> None:
    """The host runs them one by one, because their controls differ; ours share calls of the UNet and of the net."""
    graph = graph_of(size=SIDE, steps=2)
    graph["second"], image = host.give(conditioning_of("narrow", seed=3)), blocks()
    graph = with_area(with_area(graph, TOP, name="top"), BOTTOM, "second", "bottom")
    graph = with_area(with_area(graph, TOP, "negative", "negative top"), BOTTOM, "negative", "negative bottom")
    plain = linked(
        combined(combined(graph, "p", "top", "bottom"), "n", "negative top", "negative bottom"),
        positive=["p", 0],
        negative=["n", 0],
    )
    theirs = graph
    for area, cond in ((TOP, "top"), (BOTTOM, "bottom"), (TOP, "negative top"), (BOTTOM, "negative bottom")):
        theirs = with_host_apply(theirs, cond, host_net("narrow"), host.give(area.of(image)), f"{cond} c")
    negative = ("negative top c", "negative bottom c") if branches == "both" else ("negative top", "negative bottom")
    theirs = combined(combined(theirs, "p", "top c", "bottom c"), "n", *negative)
    theirs = linked(theirs, positive=["p", 0], negative=["n", 0])
    net, unet = our_net("narrow"), model_of("narrow", v_prediction=False).model.diffusion_model
    ours = with_our_control(plain, host.give(net), host.give(image), branches=branches)
    with counted(unet) as calls, counted(net.control_model.net) as net_called:
        result = latents(host, ours)
    assert largest_difference(latents(host, theirs), result) <= CLOSE
    assert list(calls) == [4, 4] and list(net_called) == ([4, 4] if branches == "both" else [2, 2])
    swapped = {**theirs, "top c image": theirs["bottom c image"], "bottom c image": theirs["top c image"]}
    assert largest_difference(latents(host, swapped), result) > SEEN


def test_an_area_beside_a_plain_cond(host, graph_of, our_net, host_net, conditioning_of, model_of) -> None:
    graph = graph_of(size=SIDE)
    graph["second"], image = host.give(conditioning_of("narrow", seed=3)), blocks()
    graph = with_area(graph, PIXELS, "second")
    theirs = with_host_apply(graph, "area", host_net("narrow"), host.give(PIXELS.of(image)), "in area")
    for cond in ("positive", "negative"):
        theirs = with_host_apply(theirs, cond, host_net("narrow"), host.give(image), f"{cond} c")
    theirs = linked(combined(theirs, "p", "positive c", "in area"), positive=["p", 0], negative=["negative c", 0])
    plain = linked(combined(graph, "p", "positive", "area"), positive=["p", 0])
    unet = model_of("narrow", v_prediction=False).model.diffusion_model
    with counted(unet) as without:
        latents(host, plain)
    with counted(unet) as calls:
        ours = latents(host, with_our_control(plain, host.give(our_net("narrow")), host.give(image)))
    assert largest_difference(latents(host, theirs), ours) <= CLOSE
    assert list(calls) == list(without)


def test_a_batch_in_an_area_sees_image_r_in_row_r(host, graph_of, our_net, host_net) -> None:
    graph, images = with_area(graph_of(size=SIDE, batch=2, cfg=1.0), PIXELS), blocks(batch=2)
    theirs = with_host_apply(graph, "area", host_net("narrow"), host.give(PIXELS.of(images)), "in area")
    theirs = linked(theirs, positive=["in area", 0])
    ours = with_our_control(linked(graph, positive=["area", 0]), host.give(our_net("narrow")), host.give(images))
    assert largest_difference(latents(host, theirs), latents(host, ours)) <= CLOSE


def test_bounds_of_a_cond_mask_are_an_area(host, graph_of, our_net, host_net) -> None:
    """ConditioningSetMask with `mask bounds` makes the area when the run starts."""
    mask = torch.zeros(1, SIDE, SIDE)
    mask[:, 32:128, 64:128] = torch.rand(1, 96, 64, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.5
    image = blocks()
    graph = {**graph_of(size=SIDE, cfg=1.0), "cond mask": host.give(mask)}
    graph["area"] = node(
        "ConditioningSetMask",
        conditioning=["positive", 0],
        mask=["cond mask", 0],
        strength=1.0,
        set_cond_area="mask bounds",
    )
    theirs = with_host_apply(graph, "area", host_net("narrow"), host.give(PIXELS.of(image)), "in area")
    theirs = linked(theirs, positive=["in area", 0])
    ours = with_our_control(linked(graph, positive=["area", 0]), host.give(our_net("narrow")), host.give(image))
    assert largest_difference(latents(host, theirs), latents(host, ours)) <= CLOSE


def test_a_cond_mask_without_bounds_sees_the_whole_image(host, graph_of, our_net, host_net) -> None:
    mask = torch.zeros(1, 64, 64)
    mask[:, :, 32:] = 1.0
    graph, image = {**graph_of(), "cond mask": host.give(mask)}, host.give(picture())
    graph["masked"] = node(
        "ConditioningSetMask",
        conditioning=["positive", 0],
        mask=["cond mask", 0],
        strength=0.8,
        set_cond_area="default",
    )
    graph = linked(graph, positive=["masked", 0])
    theirs = latents(host, with_host_control(graph, host_net("narrow"), image))
    ours = latents(host, with_our_control(graph, host.give(our_net("narrow")), image))
    assert largest_difference(theirs, ours) <= CLOSE


def denoised_from(host: Any, graph: Graph, latent: torch.Tensor) -> Graph:
    """The graph sampling from the given noise: a crop of it is the noise of the crop."""
    graph = {**graph, "latent": host.give({"samples": latent})}
    inputs = {key: value for key, value in graph["sampler"]["inputs"].items() if key not in ("seed", "denoise")}
    graph["sampler"] = node(
        "KSamplerAdvanced",
        **inputs,
        add_noise="disable",
        noise_seed=1,
        start_at_step=0,
        end_at_step=2,
        return_with_leftover_noise="disable",
    )
    return graph


@pytest.mark.parametrize("size", [SIDE, 192], ids=["canvas size", "1.5x"])
def test_a_masked_area_equals_the_run_of_its_crop(host, graph_of, our_net, size) -> None:
    """Without CFG an area is a run of its own: of the cropped noise, with the cropped image and the cropped mask."""

    def cropped(value: torch.Tensor) -> torch.Tensor:
        y, x, height, width = (edge * size // SIDE for edge in (PIXELS.y, PIXELS.x, PIXELS.height, PIXELS.width))
        return value[:, y : y + height, x : x + width]

    image, mask = picture(size, size), picture(size, size, seed=5)[..., 0]
    noise = torch.randn(1, 4, SIDE // 8, SIDE // 8, generator=torch.Generator().manual_seed(7)) * 80
    results = []
    for graph, picture_, mask_, start in (
        (linked(with_area(graph_of(cfg=1.0), PIXELS), positive=["area", 0]), image, mask, noise),
        (graph_of(cfg=1.0), cropped(image), cropped(mask), PIXELS.cells(noise)),
    ):
        graph = with_our_control(
            graph, host.give(our_net("narrow")), host.give(picture_), mask=["mask", 0], extra={"mask": host.give(mask_)}
        )
        results.append(latents(host, denoised_from(host, graph, start)))
    whole, alone = results
    assert largest_difference(PIXELS.cells(whole), alone) <= CLOSE
