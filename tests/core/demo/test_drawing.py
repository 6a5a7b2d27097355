"""However one draws, the control gets the lines or the shape that it reads, and what was done is said."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from skimage import data

from zeroctl_core.demo.conditions import CONDITIONS
from zeroctl_core.demo.drawing import read_drawing
from zeroctl_core.demo.following import outline
from zeroctl_core.demo.rendering import render
from zeroctl_core.demo.scene import SIZE, scenes
from zeroctl_core.train.score import line_f1

SIDE = 512
LEAF = [
    (64 + r * math.cos(a), 64 + r * math.sin(a)) for a in np.linspace(0, 6.2, 60) for r in [30 + 8 * math.cos(3 * a)]
]


def drawn(ground="black", line="white", width=6.0, fill=None, side=SIDE, mode="RGB") -> Image.Image:
    """A closed outline in the middle of a square; width in pixels of 512."""
    picture = Image.new(mode, (side * 2, side * 2), ground)
    pen, times = ImageDraw.Draw(picture), 2 * side / SIZE
    corners = [(x * times, y * times) for x, y in LEAF]
    if fill:
        pen.polygon(corners, fill=fill)
    pen.line([*corners, *corners[:2]], fill=line, width=max(1, round(width * 2 * side / SIDE)), joint="curve")
    return picture.resize((side, side), Image.Resampling.BOX)


def shape() -> torch.Tensor:
    sheet = Image.new("L", (SIZE * 8, SIZE * 8))
    ImageDraw.Draw(sheet).polygon([(x * 8, y * 8) for x, y in LEAF], fill=255)
    return torch.from_numpy(np.asarray(sheet.resize((SIZE, SIZE), Image.Resampling.BOX)) > 127)[None]


def read(picture: Image.Image, path: Path, control: str = "edges", **options):
    picture.save(path, **options)
    return read_drawing(path, control)


INVERTED = "it is dark on light: inverted"
FILLED = "it is filled: its outline is used"
COLOURS = "its colours are left out: a prompt can name them"
NOTHING = (0, 0, 0, 0)
WAYS = {
    "white on black": (drawn(), ()),
    "black on white": (drawn("white", "black"), (INVERTED,)),
    "thick": (drawn(width=24), ("its lines are 6 pixels wide at the model's size: thinned to one",)),
    "filled": (drawn(fill="white"), (FILLED,)),
    "dark and filled": (drawn("white", "black", fill="black"), (INVERTED, FILLED)),
    "coloured": (drawn("#ffefc0", "#203080"), (INVERTED, COLOURS)),
    "coloured and filled": (drawn("white", "#301010", fill="#f08030"), (INVERTED, COLOURS, FILLED)),
    "faint": (drawn("white", "#c8c8c8"), (INVERTED,)),
    "black on transparent": (
        drawn(NOTHING, (0, 0, 0, 255), mode="RGBA"),
        ("its ground is transparent: what is opaque is the drawing",),
    ),
    "white on transparent": (
        drawn(NOTHING, (255, 255, 255, 255), mode="RGBA"),
        ("its ground is transparent: what is opaque is the drawing",),
    ),
    "small": (drawn(side=100), ()),
    "one pixel of 1500": (drawn(width=0.3, side=1500), ()),
}


@pytest.mark.parametrize("way", WAYS)
def test_however_it_is_drawn_it_has_the_same_lines_and_a_word(way, tmp_path):
    picture, notes = WAYS[way]
    drawing = read(picture, tmp_path / "a.png")
    lines = drawing.condition[:, 0] > 0.5
    assert drawing.condition.shape == (1, 3, SIZE, SIZE) and set(drawing.condition.unique().tolist()) == {0.0, 1.0}
    assert float(line_f1(lines, outline(shape()), 1)) >= 0.97
    assert int(lines.sum()) <= 1.2 * int(outline(shape()).sum())  # one pixel wide
    assert drawing.notes == notes


def test_the_scribble_control_gets_the_same_lines_three_pixels_wide(tmp_path):
    thin, thick = (read(drawn(), tmp_path / "a.png", control).condition for control in ("edges", "scribble"))
    assert bool((thick >= thin).all()) and 2.5 < float(thick.sum() / thin.sum()) < 4
    middle = (thin[0, 0] > 0.5).nonzero()[0].tolist()
    assert bool((thick[0, 0, middle[0] - 1 : middle[0] + 2, middle[1] - 1 : middle[1] + 2] > 0.5).all())


def test_the_colours_control_gets_the_squares_of_any_picture_with_a_word(tmp_path):
    photo = Image.fromarray(data.astronaut())
    drawing = read(photo, tmp_path / "a.png", "colours")
    assert drawing.notes == ("it is used as 4x4 squares of its mean colours",)
    corner = np.asarray(photo.crop((0, 0, 128, 128)), np.float32).mean(axis=(0, 1)) / 255
    assert np.abs(drawing.condition[0, :, 5, 5].numpy() - corner).max() < 0.02
    assert len(torch.unique(drawing.condition[0].flatten(1), dim=1).T) == 16


def test_jpeg_leaves_no_dust_and_a_wide_picture_is_not_cut(tmp_path):
    wide = Image.new("RGB", (2 * SIDE, SIDE))
    wide.paste(drawn(), (0, 0))  # its left half: a cut to the middle square would halve the thing
    drawing = read(wide, tmp_path / "a.jpg", quality=40)
    assert drawing.notes == ("it has 1024x512 pixels: ground was added to make it a square",)
    columns = (drawing.condition[0, 0] > 0.5).any(0).nonzero()
    assert abs(int(columns.max() - columns.min()) - 35) <= 4


def test_a_filled_part_among_lines_is_outlined_and_the_lines_are_thinned(tmp_path):
    face = Image.new("RGB", (SIDE, SIDE), "white")
    pen = ImageDraw.Draw(face)
    pen.ellipse((80, 80, 430, 430), outline="black", width=12)
    pen.ellipse((180, 180, 220, 220), fill="black")
    drawing = read(face, tmp_path / "a.png")
    assert (
        FILLED in drawing.notes and "its lines are 3 pixels wide at the model's size: thinned to one" in drawing.notes
    )
    edges = drawing.condition[0, 0] > 0.5
    assert not edges[50, 50] and edges[45:55, 45:55].any() and edges[64, 18:26].sum() == 1


@pytest.mark.parametrize("name", ["astronaut", "coffee", "camera", "chelsea", "rocket", "coins", "page"])
def test_a_photograph_is_refused_with_what_to_do(name, tmp_path):
    with pytest.raises(ValueError, match=r"a.png (has no plain ground|is more than a drawing).*trace its outline"):
        read(Image.fromarray(getattr(data, name)()), tmp_path / "a.png")


@pytest.mark.parametrize("colour", ["white", "black", "#406080"])
def test_an_empty_sheet_is_refused(colour, tmp_path):
    with pytest.raises(ValueError, match=r"is of one colour: nothing is drawn on it. Draw one thing"):
        read(Image.new("RGB", (SIDE, SIDE), colour), tmp_path / "a.png")


def test_the_maps_of_the_world_pass_as_they_are(tmp_path):
    world = scenes(5, 0, 8, shapes_only=True)
    for row in CONDITIONS["depth"](render(world)):
        pixels = (row.movedim(0, -1).numpy() * 255).round().astype(np.uint8)
        drawing = read(Image.fromarray(pixels), tmp_path / "a.png", "depth")
        assert float((drawing.condition[0] - row).abs().mean()) < 0.01 and drawing.notes == ()


def test_the_depth_control_refuses_what_holds_no_surface(tmp_path):
    with pytest.raises(ValueError, match="holds lines, and the depth control reads surfaces. Use --control edges"):
        read(drawn("white", "black"), tmp_path / "a.png", "depth")
    with pytest.raises(ValueError, match="is in colours"):
        read(drawn("white", "#208040", fill="#208040"), tmp_path / "a.png", "depth")


def test_a_control_of_other_conditions_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match="the control pose reads; give one of edges, scribble, depth, colours"):
        read(drawn(), tmp_path / "a.png", "pose")


def test_a_depth_map_on_white_is_inverted_with_a_word(tmp_path):
    near = read(drawn("white", "#404040", fill="#404040"), tmp_path / "a.png", "depth")
    assert near.notes == ("its ground is white, which means near: inverted",)
    assert float(near.condition[0, 0, 0, 0]) == 0.0 and abs(float(near.condition[0, 0, 64, 64]) - 0.75) < 0.01
