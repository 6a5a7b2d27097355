"""A condition image that shows nothing, or is not what its control reads, is said once, with its cause."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from control_graphs import CONTROL, picture
from host_graphs import node
from host_process import Host
from torch import Tensor

SIDE = 128
BLACK, GREY, GREEN, WHITE = (0.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.2, 1.0, 0.2), (1.0, 1.0, 1.0)


def of(*colours: tuple[float, ...] | None) -> Tensor:
    """A picture for each colour; None: one that shows something."""
    images = picture(SIDE, SIDE, batch=len(colours))
    for image, colour in zip(images, colours, strict=True):
        if colour is not None:
            image[:] = torch.tensor(colour)
    return images


def lines(on: float) -> Tensor:
    image = torch.full((1, SIDE, SIDE, 3), on)
    image[:, 30:33] = 1 - on
    image[:, :, 80:83] = 1 - on
    return image


@pytest.fixture(scope="module")
def named(host: Host, controlnet_file: Callable[..., Path]) -> Iterator[Callable[[str], dict[str, Any]]]:
    """`named(name)`: a node that loads a control whose file has that name."""
    copies: list[Path] = []

    def load(name: str) -> dict[str, Any]:
        path = host.base / "models" / "controlnet" / f"{name}.safetensors"
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            shutil.copy(controlnet_file("thin"), path)
            copies.append(path)
        return node("ZeroctlLoadControlNet", control_net_name=f"{name}.safetensors")

    yield load
    for path in copies:
        path.unlink()


def told(host: Host, net: dict[str, Any], image: Any, **inputs: Any) -> list[str]:
    """The notices of a control, which are its notes for the report too."""
    graph = {
        "net": net,
        "image": host.give(image),
        "control": node("ZeroctlControl", control_net=["net", 0], image=["image", 0], **{**CONTROL, **inputs}),
    }
    result = host.run(graph, keep={"stack": ["control", 0]})
    texts = [notice["text"] for notice in result.sent("zeroctl.notice")]
    assert [note for note in result["stack"][0].notes if "this control" in note or "one colour" in note] == texts
    return texts


@pytest.mark.parametrize(
    ("image", "text"),
    [
        (of(BLACK), "the condition image is one colour throughout (0, 0, 0): nothing to follow; its annotator found"),
        (of(BLACK) + 0.001, "one colour throughout"),
        (of(GREEN), "the condition image is one colour throughout (0.2, 1, 0.2): nothing to follow; look at the node"),
        (of(None, WHITE), "of 2 condition images, counted from 0, 1 is one colour throughout (1, 1, 1): nothing"),
        (of(BLACK, None, BLACK), "of 3 condition images, counted from 0, 0, 2 are one colour throughout (0, 0, 0)"),
    ],
)
def test_an_image_of_one_colour_is_said(host, named, image, text) -> None:
    (notice,) = told(host, named("mine"), image)
    assert text in notice
    assert not told(host, named("mine"), image, enabled=False)
    assert not told(host, named("mine"), image, strength=0.0)


def test_a_single_pixel_a_hole_and_two_levels_show_something(host, named) -> None:
    one_pixel, two_levels = of(BLACK), of(GREY)
    one_pixel[0, 37, 41] = 1.0
    two_levels[0, :, 100:] += 1 / 255
    for image in (one_pixel, two_levels, torch.full((1, SIDE, SIDE, 3), -1.0), of(None, None)):
        assert not told(host, named("mine"), image)


@pytest.mark.parametrize(
    ("name", "silent", "doubtful"),
    [
        ("control_v11f1e_sd15_tile", [BLACK, GREY, GREEN], []),
        ("control_v11p_sd15_inpaint", [GREY], []),
        ("t2i-color", [BLACK, GREEN], []),
        ("control_v11p_sd15_seg", [GREEN, GREY], [BLACK]),
        ("control_v11p_sd15_normalbae", [(0.5, 0.5, 1.0)], [BLACK]),
        ("control_v11f1p_sd15_depth", [], [BLACK, GREY]),
        ("control_v11p_sd15_openpose", [], [BLACK]),
        ("control_v11p_sd15_canny", [], [BLACK, WHITE]),
    ],
)
def test_a_control_that_reads_colours_may_have_one(host, named, name, silent, doubtful) -> None:
    for colour in silent:
        assert not told(host, named(name), of(colour)), colour
    for colour in doubtful:
        assert len(told(host, named(name), of(colour))) == 1, colour


@pytest.mark.parametrize("name", ["control_v11p_sd15_canny", "my_Lineart-v2", "control_sd15_hed", "sd15.mlsd"])
def test_black_lines_on_white_are_said_where_white_on_black_are_read(host, named, name) -> None:
    (notice,) = told(host, named(name), lines(on=1.0))
    assert "the condition image is black lines on white, and this control reads white lines on black" in notice
    assert not told(host, named(name), lines(on=0.0))
    both = told(host, named(name), torch.cat([lines(on=1.0), lines(on=0.0), of(BLACK)]))
    assert ["counted from 0, 2 is one colour" in text and "counted from 0, 0 is black" in text for text in both] == [
        True
    ]


@pytest.mark.parametrize(
    "name",
    [
        "mine",
        "trained",
        "control_v11f1p_sd15_depth",
        "control_v11p_sd15_openpose",
        "canny_depth_union",
        "black_lineart",
    ],
)
def test_black_lines_on_white_are_not_said_where_nobody_knows_what_is_read(host, named, name) -> None:
    assert not told(host, named(name), lines(on=1.0))


@pytest.mark.parametrize(
    ("name", "grey"),
    [
        ("control_v11p_sd15_scribble", "white lines on black"),
        ("control_v11f1p_sd15_depth", "depth in grey, near is white"),
    ],
)
def test_a_photograph_where_lines_or_depth_are_read_is_said(host, named, name, grey) -> None:
    (notice,) = told(
        host, named(name), torch.cat([picture(SIDE, SIDE), picture(SIDE, SIDE).mean(-1, True).expand(-1, -1, -1, 3)])
    )
    assert f"of 2 condition images, counted from 0, 0 is in colours, and this control reads {grey}: put its" in notice
    few = lines(on=0.0) * torch.tensor([1.0, 0.2, 0.2])  # a drawing in red
    assert not told(host, named(name), few)
    for other in ("mine", "control_v11f1e_sd15_tile", "control_v11p_sd15_openpose", "depth_and_canny", "union-depth"):
        assert not told(host, named(other), picture(SIDE, SIDE))


@pytest.mark.parametrize(
    ("kind", "doubtful", "silent"),
    [
        ("canny/lineart/anime_lineart/mlsd", [lines(on=1.0), of(BLACK), of(None)], [lines(on=0.0)]),
        ("hed/pidi/scribble/ted", [lines(on=1.0)], []),
        ("auto", [of(GREY)], [lines(on=1.0)]),
        ("depth", [of(GREY), of(None)], [lines(on=1.0)]),
        ("openpose", [of(BLACK)], [of(None)]),
        ("segment", [of(BLACK)], [of(GREEN)]),
        ("tile", [], [of(GREY), of(BLACK)]),
        ("repaint", [], [of(BLACK)]),
    ],
)
def test_the_type_of_a_union_net_counts(host, host_net, kind, doubtful, silent) -> None:
    for image in (*doubtful, *silent):
        graph = {
            "net": host_net("thin"),
            "typed": node("SetUnionControlNetType", control_net=["net", 0], type=kind),
            "image": host.give(image),
            "control": node("ZeroctlControl", control_net=["typed", 0], image=["image", 0], **CONTROL),
        }
        result = host.run(graph, keep={"stack": ["control", 0]})
        assert len(result.sent("zeroctl.notice")) == any(image is one for one in doubtful)


def test_rows_of_other_packs_are_said_too(host, controlnet_file) -> None:
    name = controlnet_file("thin").name
    rows = [(name, of(None), 1.0, 0.0, 1.0), (name, of(BLACK), 1.0, 0.0, 1.0)]
    graph = {"rows": host.give(rows), "from": node("ZeroctlStackFromLegacy", control_net_stack=["rows", 0])}
    result = host.run(graph, keep={"stack": ["from", 0], "report": ["from", 1]})
    (notice,) = result.sent("zeroctl.notice")
    assert notice["text"].startswith("row 2: the condition image is one colour throughout (0, 0, 0)")
    assert "control 2: strength 1, timesteps 0 to 1; the condition image is one colour" in result["report"]
    assert [len(unit.notes) for unit in result["stack"]] == [0, 1]


def test_union_conditions_say_what_each_image_is_read_as(host, named) -> None:
    """The name of a union's file tells nothing of its images."""

    def rows(*conditions: tuple[str, Any]) -> list[str]:
        graph, last = {"net": named("union-promax"), "image": host.give(lines(on=1.0))}, None
        for place, (kind, image) in enumerate(conditions):
            inputs = {} if last is None else {"union": last}
            if image is not None:
                graph[f"image {place}"] = host.give(image)
                inputs["image"] = [f"image {place}", 0]
            graph[f"row {place}"] = node("ZeroctlUnionCondition", union_type=kind, strength=1.0, **inputs)
            last = [f"row {place}", 0]
        inputs = {"control_net": ["net", 0], "image": ["image", 0], **({"union": last} if last else {})}
        graph["control"] = node("ZeroctlControl", **inputs, **CONTROL)
        result = host.run(graph, keep={"stack": ["control", 0]})
        return [notice["text"] for notice in result.sent("zeroctl.notice")]

    canny = "canny/lineart/anime_lineart/mlsd"
    assert not rows() and not rows(("depth", None)) and not rows(("tile", None), ("repaint", of(GREEN)))
    (text,) = rows((canny, None))
    assert "the condition image is black lines on white" in text
    texts = rows((canny, None), ("depth", picture(SIDE, SIDE)), ("segment", of(BLACK)))
    assert [text.partition(" is ")[0] for text in texts] == [
        "the condition image",
        "Union Condition depth: the condition image",
        "Union Condition segment: the condition image",
    ]
    assert "in colours, and this control reads depth in grey" in texts[1] and "one colour throughout" in texts[2]
