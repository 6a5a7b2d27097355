"""Checks of what a node is given: pictures, masks, numbers and choices. Each refuses in the words of the graph."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor

from zeroctl_core.annotators.pictures.check import OVERSHOOT
from zeroctl_core.canvas.content import HOLE, has_hole
from zeroctl_core.files.plural import plural

from .sockets import in_words

__all__ = ["check_choice", "check_image", "check_mask", "check_number", "naming", "read_condition", "read_mask"]


Choice = TypeVar("Choice", bound=str)

LARGEST_CONDITION = 2.0
"""Of either sign. A bicubic filter overshoots 0..1 by a quarter, and values in 0..255 are far beyond."""
ROUNDING = 1e-4
"""How far outside 0..1 values may end by arithmetic."""

log = logging.getLogger("zeroctl")

CHANNELS = {
    1: ("1 channel (grey)", "Repeat its channel, or convert it to RGB,"),
    2: ("2 channels (grey with alpha)", "Convert it to RGB"),
    4: ("4 channels (with alpha)", "Lay it over a background"),
}
"""Number of channels that a control cannot take -> what such a picture is, and what to do with it."""


@contextmanager
def naming(what: str) -> Iterator[None]:
    """A `ValueError` from inside begins with `what`: the row or the control, of several, that it is about."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error


def check_choice(name: str, value: str, choices: Iterable[Choice]) -> Choice:
    """The one of `choices` that `value` is. V3 combos are not validated by hosts below 0.8.

    Raises `ValueError`, which names the input, its value and every choice.
    """
    options = list(choices)
    for option in options:
        if option == value:
            return option
    raise ValueError(f"{name} is {in_words(value)}, which is not a choice here. Use one of: {', '.join(options)}.")


def check_number(name: str, value: float) -> float:
    """Return `value` when it is an ordinary number: NaN passes every comparison with a minimum and a maximum.

    Raises `ValueError` for NaN and infinity.
    """
    if not math.isfinite(value):
        raise ValueError(f"{name} is {value}, expected an ordinary number.")
    return value


def check_image(image: Tensor, name: str = "image", channels: tuple[int, ...] = (3,)) -> Tensor:
    """A host IMAGE [B, H, W, C], of the input `name`, as [B, C, H, W].

    Raises `ValueError` for what is not a batch of images, an empty one, another number of channels, and values that are
    not finite.
    """
    return _read_image(image, name, channels)[0]


def _read_image(image: Tensor, name: str, channels: tuple[int, ...]) -> tuple[Tensor, float, float]:
    """As `check_image`, with the lowest and the highest value."""
    if not isinstance(image, Tensor) or image.ndim != 4:
        raise ValueError(
            f"{name} must be an IMAGE [B, H, W, 3]; got {in_words(image)}. "
            "Connect the output of an image or annotator node."
        )
    if image.numel() == 0 or not image.is_floating_point():
        raise ValueError(
            f"{name} has the shape {tuple(image.shape)} and holds {str(image.dtype).removeprefix('torch.')} values, "
            "expected at least one picture with values in 0..1. Look at the node that made it."
        )
    if image.shape[-1] not in channels:
        what, remedy = CHANNELS.get(image.shape[-1], (plural(image.shape[-1], "channel"), "Convert it to RGB"))
        expected = {(3,): "3 (RGB)", (3, 4): "3 (RGB) or 4 (with alpha)"}.get(channels, "1, 3 (RGB) or 4 (with alpha)")
        raise ValueError(f"{name} has {what}, expected {expected}. {remedy} before it comes here.")
    # five times as fast as aminmax on channels last, and NaN goes through both
    low, high = float(image.amin()), float(image.amax())
    if not (math.isfinite(low) and math.isfinite(high)):
        count = int((~torch.isfinite(image)).sum())
        raise ValueError(
            f"{name} has {plural(count, 'value')} of NaN or infinity, expected 0..1. "
            "Look at the node that made it: an annotator on a constant picture may divide by zero."
        )
    return image.movedim(-1, 1), low, high


def read_condition(image: Tensor, name: str = "image", resize: str = "crop") -> tuple[Tensor, str]:
    """A condition image [B, H, W, 3] as [B, 3, H, W], and a note on its values; empty where they lie in 0..1.

    What a filter overshot is noted, with what the mode `resize` does to it, and the -1 of a hole to inpaint is not.
    Raises what `check_image` raises, and `ValueError` for values on another scale, such as 0..255.
    """
    picture, low, high = _read_image(image, name, (3,))
    if high > LARGEST_CONDITION or low < -LARGEST_CONDITION:
        remedy = "divide by 255" if high > LARGEST_CONDITION else "rescale it"
        raise ValueError(
            f"{name} has values in {low:g}..{high:g}, expected 0..1: {remedy}. Look at the node that made it; a hole "
            "to inpaint is -1."
        )
    if high <= 1.0 + ROUNDING and (low >= -ROUNDING or abs(low - HOLE) <= ROUNDING):
        return picture, ""
    then = "acts, too"
    if resize != "crop":
        then = "is cut off where the image is resized"
        then += ", except in pictures with a hole" if any(has_hole(one) for one in picture) else ""
    return picture, f"{name} has values in {low:.7g}..{high:.7g}, expected 0..1: what a filter overshot {then}"


def check_mask(mask: Tensor, one: str = "the control acts") -> Tensor:
    """What `read_mask` reads; its note goes to the log."""
    masks, note = read_mask(mask, one)
    if note:
        log.warning("[zeroctl] %s", note)
    return masks


def read_mask(mask: Tensor, one: str = "the control acts") -> tuple[Tensor, str]:
    """A host MASK [B, H, W] (or [H, W]), of numbers or of bools, as floats [B, H, W] in 0..1, and a note.

    `one` says what 1 means. What a filter overshot is cut off, and noted where it is more than rounding.
    Raises `ValueError` for another shape, and for values that are not finite or farther outside 0..1.
    """
    if not isinstance(mask, Tensor) or mask.ndim not in (2, 3) or mask.numel() == 0:
        raise ValueError(f"mask must be a MASK [B, H, W]; got {in_words(mask)}.")
    mask = mask.unsqueeze(0) if mask.ndim == 2 else mask
    mask = mask if mask.is_floating_point() else mask.float()
    low, high = (float(bound) for bound in mask.aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("mask has values of NaN or infinity, expected 0..1.")
    if low < -OVERSHOOT or high > 1.0 + OVERSHOOT:
        remedy = "Divide it by 255 first." if high > 2.0 else "Rescale it first."
        raise ValueError(f"mask has values in {low:.7g}..{high:.7g}, expected 0..1 (1: {one}). {remedy}")
    if low >= 0.0 and high <= 1.0:
        return mask, ""
    rounding = max(-low, high - 1.0) <= ROUNDING
    note = "" if rounding else f"mask has values in {low:.7g}..{high:.7g}, expected 0..1: what a filter overshot is cut"
    return mask.clamp(0.0, 1.0), note
