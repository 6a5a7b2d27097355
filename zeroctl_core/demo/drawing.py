"""A drawing of one's own, brought to what an embedded control reads: white lines on black.

People draw dark on white, thick, filled, in colours, on nothing. All of that is recognised here by closed rules, and
whatever is done to a drawing is among its notes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..annotators.color import color
from ..files.picture_file import read_picture_file
from ..files.plural import plural
from .conditions import SQUARES
from .following import outline
from .picture_file import read_picture
from .scene import SIZE

FINE = 4 * SIZE  # side of the sheet on which lines are measured and thinned, pixels
LARGEST = 2048  # longer side that is looked at; larger pictures are made smaller before
BORDER = 50  # the border that tells the ground is a 50th of the shorter side wide
PLAIN = 0.6  # share of the border that has to be of one colour
SAME = 0.15  # largest difference of a channel within one colour, of 0..1
FAINTEST = 0.12  # a drawing differs from its ground by this in some channel
INK = 0.35  # share of the largest difference from which a pixel is drawn
BUSY = 0.18  # largest share of uneven places in a drawing: outlines have .05, photographs .2 to .4
UNEVEN = 0.03  # difference of neighbours on a sheet of 256x256 that makes a place uneven
FILLED = 0.1  # a disc of this radius, in longer sides of its part, fits into what is filled and into no line
THIN = 6.0  # widest line that is not told as thinned, fine pixels: 1.5 of the model's
SPECK = 12  # fine pixels; smaller spots are dust
GREY = 0.1  # difference of channels up to which a colour is grey, and of a level from the ground's
SCRIBBLE = 3  # pixels: how wide the lines of a scribble are


@dataclass(frozen=True)
class Drawing:
    """A condition image, and what was done to come to it, a sentence each."""

    condition: Tensor  # [1, 3, 192, 192] in 0..1
    notes: tuple[str, ...] = ()


def read_drawing(path: Path, control: str) -> Drawing:
    """A picture file as the condition of an embedded control: by what that control was trained on.

    Raises `ValueError` for a file that is not a picture, and for a picture of which the control reads nothing; it says
    what to do.
    """
    if control not in READERS:
        raise ValueError(f"nothing is known of what the control {control} reads; give one of {', '.join(READERS)}")
    return READERS[control](path)


def read_lines(path: Path) -> Drawing:
    """The lines of a drawing, one pixel wide, white on black; of what is filled its outline.

    Raises `ValueError` for a file that is not a picture, for one of a single colour, and for a photograph.
    """
    ink, notes = _ink_of(path)
    filled, lines = _filled_and_lines(ink)
    edges = np.zeros((SIZE, SIZE), bool)
    if filled.any():
        notes.append("it is filled: its outline is used")
        edges |= outline(torch.from_numpy(_coverage(filled))[None] > 0.5)[0].numpy()
    if lines.any():
        thin, width = _thinned(lines)
        if width > THIN:
            notes.append(f"its lines are {width / FINE * SIZE:.0f} pixels wide at the model's size: thinned to one")
        edges |= thin
    return Drawing(torch.from_numpy(edges).float().expand(1, 3, -1, -1), tuple(notes))


def read_scribble(path: Path) -> Drawing:
    """The lines of a drawing as `read_lines` has them, 3 pixels wide, which is what the control was trained on.

    Raises `ValueError` as `read_lines` does.
    """
    thin = read_lines(path)
    return Drawing(F.max_pool2d(thin.condition, SCRIBBLE, stride=1, padding=SCRIBBLE // 2), thin.notes)


def read_colours(path: Path) -> Drawing:
    """Any picture as the squares of its mean colours that the control was trained on.

    Raises `ValueError` for a file that is not a picture.
    """
    squares = color(read_picture(path), grid=SQUARES, method="area")
    cells = SIZE // SQUARES
    return Drawing(squares, (f"it is used as {cells}x{cells} squares of its mean colours",))


def read_depth(path: Path) -> Drawing:
    """A depth map as it is: its values say more than a drawing can.

    Raises `ValueError` for lines, and for depth in colours.
    """
    picture = read_picture(path)
    levels = picture[0].movedim(0, -1).numpy()
    border = np.concatenate((levels[:2].reshape(-1, 3), levels[-2:].reshape(-1, 3), levels[:, 0], levels[:, -1]))
    ground = np.median(border, axis=0)
    surface = np.abs(levels - ground).max(axis=-1) > GREY
    filled, lines = _filled_and_lines(np.kron(surface, np.ones((FINE // SIZE,) * 2, bool)))
    if filled.sum() <= lines.sum():
        raise ValueError(f"{path} holds lines, and the depth control reads surfaces. Use --control edges")
    if float(np.ptp(levels, axis=-1)[surface].mean()) > GREY:
        raise ValueError(
            f"{path} is in colours, and the depth control reads grey maps in which white is near. A drawing is for "
            "--control edges or scribble"
        )
    if ground.mean() > 0.5:
        return Drawing(1 - picture, ("its ground is white, which means near: inverted",))
    return Drawing(picture)


READERS: Mapping[str, Callable[[Path], Drawing]] = {
    "edges": read_lines,
    "scribble": read_scribble,
    "depth": read_depth,
    "colours": read_colours,
}
"""Name of a control -> how a picture file becomes its condition."""


def _ink_of(path: Path) -> tuple[np.ndarray, list[str]]:
    """Where something is drawn, bool [FINE, FINE], and notes. Raises as `read_lines` does."""
    on_white, alpha, notes = _pixels_of(path)
    width = max(1, min(alpha.shape) // BORDER)
    border = np.ones(alpha.shape, bool)
    border[width:-width, width:-width] = False
    if np.median(alpha[border]) < 0.5:
        notes.append("its ground is transparent: what is opaque is the drawing")
        difference, ground = alpha, np.zeros(3, np.float32)
    else:
        ground = np.median(on_white[border], axis=0)
        difference = np.abs(on_white - ground).max(axis=-1)
    _check_is_drawing(path, difference, border)
    ink = difference > INK * difference.max()
    if ground.min() > 0.5:
        notes.append("it is dark on light: inverted")
    hue = max(float(np.ptp(ground)), float(np.median(np.ptp(on_white[ink], axis=-1))))
    if hue > GREY:
        notes.append("its colours are left out: a prompt can name them")
    return _without_specks(_on_fine_sheet(ink, notes), notes), notes


def _pixels_of(path: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """A picture on white, float32 [H, W, 3] in 0..1, what of it is opaque, [H, W], and notes."""
    on_white, frames = read_picture_file(path, "white")
    on_black, _ = read_picture_file(path, "black")
    notes = [f"it has {frames} frames: only the first is used"] if frames > 1 else []
    if (times := max(on_white.size) // LARGEST) > 1:
        on_white, on_black = on_white.reduce(times), on_black.reduce(times)
    white, black = (np.asarray(picture, dtype=np.float32) / 255 for picture in (on_white, on_black))
    return white, 1 - (white - black).mean(axis=-1), notes


def _check_is_drawing(path: Path, difference: np.ndarray, border: np.ndarray) -> None:
    """Raises `ValueError` for a picture of one colour, one without a plain ground, and a busy one."""
    import cv2

    remedy = "Draw one thing on a plain ground, or trace its outline"
    if difference.max() < FAINTEST:
        raise ValueError(f"{path} is of one colour: nothing is drawn on it. {remedy}")
    plain = float((difference[border] < SAME).mean())
    if plain < PLAIN:
        raise ValueError(
            f"{path} has no plain ground: {plain:.0%} of its border is of one colour, {PLAIN:.0%} are expected, and a "
            f"control of the embedded model reads a drawing. {remedy}"
        )
    small = cv2.resize(difference, (SIZE * 2, SIZE * 2), interpolation=cv2.INTER_AREA)
    uneven = np.maximum(np.abs(np.diff(small, axis=0))[:, 1:], np.abs(np.diff(small, axis=1))[1:]) > UNEVEN
    if (busy := float(uneven.mean())) > BUSY:
        raise ValueError(
            f"{path} is more than a drawing: {busy:.0%} of its places are uneven, at most {BUSY:.0%} are expected of "
            f"lines or flat shapes on a plain ground. {remedy}"
        )


def _on_fine_sheet(ink: np.ndarray, notes: list[str]) -> np.ndarray:
    """The ink on a square of ground, made smaller so that no line is lost: bool [H, W] -> bool [FINE, FINE]."""
    import cv2

    height, width = ink.shape
    side = max(height, width)
    if height != width:
        notes.append(f"it has {width}x{height} pixels: ground was added to make it a square")
    top, left = (side - height) // 2, (side - width) // 2
    square = np.zeros((side, side), np.float32)
    square[top : top + height, left : left + width] = ink
    if side <= FINE:
        return cv2.resize(square, (FINE, FINE), interpolation=cv2.INTER_LINEAR) > 0.5
    # a line of one pixel covers a share of FINE / side of what becomes one pixel
    return cv2.resize(square, (FINE, FINE), interpolation=cv2.INTER_AREA) > min(0.5, 0.5 * FINE / side)


def _without_specks(ink: np.ndarray, notes: list[str]) -> np.ndarray:
    """The ink without spots of a few fine pixels, as dust and compression leave."""
    import cv2

    count, labels, boxes, _ = cv2.connectedComponentsWithStats(ink.astype(np.uint8))
    small = [part for part in range(1, count) if boxes[part, cv2.CC_STAT_AREA] < SPECK]
    if small and len(small) < count - 1:
        notes.append(f"{plural(len(small), 'speck')} left out")
        return ink & ~np.isin(labels, small)
    return ink


def _filled_and_lines(ink: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The parts of the ink that are filled, and the rest; bool [FINE, FINE] each.

    Of a part that is filled for the most, such as a star with thin tips, all is; of one that is lines for the most,
    such as a house with a filled door, what a disc fits into.
    """
    import cv2

    count, labels, boxes, _ = cv2.connectedComponentsWithStats(ink.astype(np.uint8))
    depth = cv2.distanceTransform(np.pad(ink, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    filled = np.zeros_like(ink)
    for part in range(1, count):
        own = labels == part
        radius = FILLED * max(boxes[part, cv2.CC_STAT_WIDTH], boxes[part, cv2.CC_STAT_HEIGHT])
        core = own & (depth > radius)
        if not core.any() or radius < THIN / 2:
            continue
        away = cv2.distanceTransform((~core).astype(np.uint8), cv2.DIST_L2, 5)
        opened = own & (away <= radius)
        filled |= own if 2 * opened.sum() > own.sum() else opened
    return filled, ink & ~filled


def _thinned(lines: np.ndarray) -> tuple[np.ndarray, float]:
    """Lines one pixel wide, bool [192, 192], and how wide they were, in fine pixels."""
    import cv2

    spine = _spine(lines)
    depth = cv2.distanceTransform(np.pad(lines, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    width = float(2 * np.median(depth[spine]) - 1)
    times = FINE // SIZE
    coarse = np.asarray(spine.reshape(SIZE, times, SIZE, times).any(axis=(1, 3)))
    return _spine(coarse), width


def _spine(lines: np.ndarray) -> np.ndarray:
    """The middle of lines, one pixel wide; bool [H, W]."""
    from skimage.morphology import skeletonize

    spine: np.ndarray = skeletonize(lines)  # type: ignore[no-untyped-call]
    return spine


def _coverage(shape: np.ndarray) -> np.ndarray:
    """The share of every pixel of the model's that a shape covers, float32 [192, 192]."""
    times = FINE // SIZE
    return shape.reshape(SIZE, times, SIZE, times).mean(axis=(1, 3), dtype=np.float32)
