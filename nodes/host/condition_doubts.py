"""What a user should hear of the images at a control: they show nothing, or are not what it reads."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from torch import Tensor

from zeroctl_core.canvas.black_on_white import is_black_on_white
from zeroctl_core.files.plural import some

from .control_kind import reads_colours, reads_depth, reads_lines

__all__ = ["condition_doubts"]

EVERY = 16
"""One of so many rows and columns is looked at first: it is seldom alike in a picture that shows something."""
FLAT = 0.5 / 255
"""Values that differ by less are one level of 8 bits."""

COLOUR, COLOURED = 0.1, 0.1
"""Channels that differ by so much are a colour, and a picture in which so large a share is coloured is in colours."""
LOOKED_AT = 256
"""Rows and columns of the shorter side that are looked at for colours."""


def condition_doubts(control_net: Any, images: Tensor, types: Collection[int] = ()) -> str:
    """What is doubtful about condition images [B, C, H, W] at this CONTROL_NET; empty where nothing is.

    types: of a union net, where Union Condition tells them.

    Pictures of one colour, unless they are a hole to inpaint or the control is known to read colours. Thin dark lines
    on white, where it is known to read white lines on black, and pictures in colours, where it is known to read lines
    or depth, which are grey. What is not near certain is not told.
    """
    lines, depth = reads_lines(control_net, types), reads_depth(control_net, types)
    flat, inverted, coloured = [], [], []
    for number, image in enumerate(images):
        if _shows_nothing(control_net, image, types):
            flat.append(number)
        elif lines and is_black_on_white(image):
            inverted.append(number)
        elif (lines or depth) and _is_coloured(image):
            coloured.append(number)
    texts = []
    if flat:
        first = images[flat[0]]
        colour = ", ".join(f"{abs(float(value)):.3g}" for value in first[:, 0, 0])
        cause = "look at the node that made it"
        if _is_black(first):
            cause = "its annotator found nothing there, or Load Image made black what was transparent"
        texts.append(f"{_which(flat, len(images))} one colour throughout ({colour}): nothing to follow; {cause}")
    if inverted:
        texts.append(
            f"{_which(inverted, len(images))} black lines on white, and this control reads white lines on black: put "
            "a node before it that inverts the colours"
        )
    if coloured:
        grey = "white lines on black" if lines else "depth in grey, near is white"
        texts.append(
            f"{_which(coloured, len(images))} in colours, and this control reads {grey}: put its annotator before it"
        )
    return ". ".join(texts)


def _which(numbers: Sequence[int], count: int) -> str:
    if count == 1:
        return "the condition image is"
    return f"of {count} condition images, counted from 0, {some(numbers)} {'is' if len(numbers) == 1 else 'are'}"


def _shows_nothing(control_net: Any, image: Tensor, types: Collection[int]) -> bool:
    for part in (image[:, ::EVERY, ::EVERY], image):
        if bool((part.amax(dim=(1, 2)) - part.amin(dim=(1, 2)) >= FLAT).any()):
            return False
    is_hole = bool(image[:, 0, 0].amin() <= -FLAT)
    return not is_hole and not reads_colours(control_net, _is_black(image), types)


def _is_black(image: Tensor) -> bool:
    return bool(image[:, 0, 0].amax() < FLAT)


def _is_coloured(image: Tensor) -> bool:
    """By a grid of its pixels: a photograph, or a map in false colours, and not a drawing of which some lines are."""
    step = max(1, min(image.shape[-2:]) // LOOKED_AT)
    few = image[:, ::step, ::step].float()
    return float((few.amax(dim=0) - few.amin(dim=0) > COLOUR).float().mean()) > COLOURED
