"""What nodes of annotators say of their conditions, and how they read alpha, masks, latents and whole batches."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from annotator_graphs import annotated, run_node, settings
from control_graphs import picture
from host_graphs import node
from host_process import Host, NodeFailed
from torch import Tensor

from zeroctl_core.annotators import ANNOTATORS

SIDE = 96


def bars(ground: float, ink: float) -> Tensor:
    """[1, 96, 96, 3]: two bars on a ground."""
    image = torch.full((1, SIDE, SIDE, 3), ground)
    image[:, 20:26, 10:86] = ink
    image[:, 40:80, 50:56] = ink
    return image


def with_alpha(colour: Tensor) -> Tensor:
    return torch.cat([colour, bars(0.0, 1.0)[..., :1]], dim=-1)


def texts(host: Host, name: str, images: Tensor, mask: Tensor | None = None, **inputs: Any) -> list[str]:
    return [data["text"] for data in run_node(host, name, images, mask, **inputs).sent("zeroctl.notice")]


@pytest.mark.parametrize("name", ["canny", "lineart", "lines", "scribble"])
def test_doubts_of_nothing_where_chalk_on_transparent_is_drawn(host, name) -> None:
    chalk = with_alpha(torch.ones(1, SIDE, SIDE, 3))
    assert torch.equal(annotated(host, name, chalk), annotated(host, name, bars(1.0, 0.0)))
    assert not texts(host, name, chalk)


def test_doubts_of_nothing_where_chalk_has_dark_paper(host) -> None:
    chalk = with_alpha(torch.ones(1, SIDE, SIDE, 3))
    assert torch.equal(annotated(host, "scribble", chalk, polarity="light_on_dark"), bars(0.0, 1.0))


@pytest.mark.parametrize("name", ["segment_snap", "normal_convert"])
def test_maps_have_nothing_where_they_are_transparent(host, name) -> None:
    map_ = with_alpha(torch.tensor([4 / 255, 200 / 255, 3 / 255]).expand(1, SIDE, SIDE, 3))
    condition = annotated(host, name, map_)
    assert condition[:, 0, 0].max() == 0 and condition[:, 22, 50].max() > 0


@pytest.mark.parametrize(
    ("name", "image", "cause"),
    [
        ("canny", torch.zeros(1, SIDE, SIDE, 3), "Load Image makes what is transparent black"),
        ("scribble", torch.zeros(1, SIDE, SIDE, 3), "Load Image makes what is transparent black"),
        ("luminance", torch.full((1, SIDE, SIDE, 3), 0.5), "of one colour itself"),
        ("lines", bars(0.5, 0.505), "nothing was found with these settings"),
    ],
)
def test_doubts_of_a_condition_of_one_colour_have_a_cause(host, name, image, cause) -> None:
    (text,) = texts(host, name, image)
    assert text.startswith("The condition is one colour: ") and cause in text


def test_doubts_count_the_conditions_of_a_batch(host) -> None:
    (text,) = texts(host, "canny", torch.cat([bars(1.0, 0.0), torch.zeros(1, SIDE, SIDE, 3)]))
    assert text.startswith("1 of 2 conditions are one colour")


def test_doubts_of_an_inverted_drawing_name_the_polarity(host) -> None:
    (text,) = texts(host, "scribble", bars(1.0, 0.0), polarity="light_on_dark")
    assert "of the condition is white" in text and "set polarity" in text


def test_doubts_of_a_photograph_where_a_map_belongs(host) -> None:
    (text,) = texts(host, "segment_snap", picture(SIDE, SIDE))
    assert "far from all colours of the palette" in text


def test_a_mask_of_a_transparent_drawing_is_read_as_any_drawing(host) -> None:
    """Load Image gives 1 where the picture is transparent."""
    mask = 1 - bars(0.0, 1.0)[..., 0]
    lines = bars(0.0, 1.0)
    assert torch.equal(annotated(host, "scribble", picture(SIDE, SIDE), mask), lines)
    xdog = annotated(host, "scribble", picture(SIDE, SIDE), mask, source="xdog")
    assert torch.equal(xdog, annotated(host, "scribble", bars(1.0, 0.0), source="xdog"))
    inverted = annotated(host, "scribble", picture(SIDE, SIDE), mask, polarity="light_on_dark")
    assert torch.equal(inverted, 1 - lines)


def test_doubts_of_an_empty_mask(host) -> None:
    empty = torch.zeros(1, 64, 64)
    (text,) = texts(host, "scribble", picture(64, 64), empty)
    assert "empty for a picture that is opaque" in text
    (text,) = texts(host, "inpaint", picture(64, 64), empty)
    assert "no hole is made" in text
    (text,) = texts(host, "inpaint", picture(64, 64), 1 - empty)
    assert "covering the whole picture" in text


def test_doubts_of_a_mask_with_other_proportions(host) -> None:
    mask = torch.zeros(1, 64, 64)
    mask[:, 20:40, 20:40] = 1
    (text,) = texts(host, "inpaint", picture(64, 96), mask)
    assert "64x64 pixels and the picture 96x64" in text
    assert not texts(host, "inpaint", picture(96, 96), mask)
    with pytest.raises(NodeFailed, match="image must be an IMAGE"):
        annotated(host, "inpaint", picture(8, 8)[0], mask)
    with pytest.raises(NodeFailed, match="mask must be a MASK"):
        annotated(host, "inpaint", picture(8, 8), picture(8, 8))


def test_doubts_of_values_name_the_input_and_the_remedy(host) -> None:
    with pytest.raises(NodeFailed, match=r"depth: the values of an image lie in 0..4; .*HDR"):
        annotated(host, "normal", torch.linspace(0, 4, 48).reshape(1, 4, 4, 3), resolution=64)
    grey = bars(1.0, 0.0)
    assert torch.equal(annotated(host, "canny", grey[..., :1]), annotated(host, "canny", grey))


def test_a_drawing_that_grows_keeps_its_polarity_in_chunks(host) -> None:
    frames = torch.ones(6, SIDE, SIDE, 3)
    for n, frame in enumerate(frames):
        frame[8 : 30 + 12 * n, 4:92] = 0
    assert torch.equal(annotated(host, "scribble", frames, polarity="batch"), 1 - frames)
    (text,) = texts(host, "scribble", frames)
    assert "set polarity to batch" in text


@pytest.mark.parametrize(
    ("shape", "more", "expected"),
    [
        ((1, 4, 64, 64), {}, 512),
        ((1, 16, 64, 64), {}, 512),
        ((1, 16, 5, 64, 64), {}, 512),
        ((1, 128, 3, 32, 32), {"downscale_ratio_spacial": 32}, 1024),
        ((1, 32, 64, 64), {"downscale_ratio_spacial": 16}, 1024),
        ((1, 128, 32, 32), {}, None),
        ((1, 3, 512, 512), {}, None),
        ((1, 8, 16, 256), {}, None),
    ],
)
def test_the_resolution_is_counted_by_the_latents_own_pixels(host, shape, more, expected) -> None:
    graph = {
        "image": host.give(torch.zeros(1, 100, 100, 3)),
        "latent": host.give({"samples": torch.zeros(shape), **more}),
        "size": node("ZeroctlHintSize", image=["image", 0], width=64, height=64, mode="crop", latent=["latent", 0]),
    }
    if expected:
        assert host.run(graph, keep={"size": ["size", 0]})["size"] == expected
    else:
        with pytest.raises(NodeFailed, match="how many pixels one of its cells has"):
            host.run(graph, keep={"size": ["size", 0]})


def test_doubts_take_every_setting_by_its_default() -> None:
    for entry in ANNOTATORS.values():
        image = torch.zeros(1, 3, 8, 8)
        assert isinstance(entry.doubts(image, image, **settings(entry)), str)


def test_thin_lines_of_a_mask_that_make_no_hole_are_told(host) -> None:
    """A line of 3 pixels where 8 become one covers less than half of it."""
    mask = torch.zeros(1, 8 * SIDE, 8 * SIDE)
    mask[:, 100:300, 100:300] = 1.0
    assert not texts(host, "inpaint", picture(SIDE, SIDE), mask)
    mask[:, 402:405, 80:600] = 1.0
    (text,) = texts(host, "inpaint", picture(SIDE, SIDE), mask)
    assert "lines that are thinner than half a pixel at 96x96: they make no hole" in text
    mask[:, 400:405, 80:600] = 1.0
    assert not texts(host, "inpaint", picture(SIDE, SIDE), mask)


def test_later_settings_are_optional_and_last(host) -> None:
    for node_id, name in (("ZeroctlNormal", "invert"), ("ZeroctlLineart", "floor")):
        inputs = host.nodes.NODE_CLASS_MAPPINGS[node_id].INPUT_TYPES()
        assert list(inputs["optional"]) == [name] and name not in inputs["required"]
    values = {"style": "standard", "sigma": 6.0, "intensity": 8, "resolution": 0, "download": False}
    graph = {"image": host.give(picture(SIDE, SIDE)), "map": node("ZeroctlLineart", image=["image", 0], **values)}
    before = host.run(graph, keep={"map": ["map", 0]})["map"]
    assert torch.equal(before, annotated(host, "lineart", picture(SIDE, SIDE)))


def test_an_interruption_is_heard_within_a_picture(host) -> None:
    import comfy.model_management as management

    annotated_module = next(m for n, m in sys.modules.items() if n.endswith("nodes.host.annotators.annotated"))
    calls: list[int] = []

    def run(part: slice, pictures: Tensor, nets: Any) -> Tensor:
        calls.append(1)
        management.interrupt_current_processing()
        return ANNOTATORS["blur"].draw(pictures)

    try:
        with pytest.raises(management.InterruptProcessingException):
            annotated_module.annotate_batch("blur", picture(SIDE, SIDE).movedim(-1, 1), run)
    finally:
        management.interrupt_current_processing(False)
    assert calls == [1]
