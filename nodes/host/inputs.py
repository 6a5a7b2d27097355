"""Checks of what a node is given: pictures, masks, numbers and choices. Each refuses in the words of the graph."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor

from zeroctl_core.files.plural import plural

__all__ = ["check_choice", "check_image", "check_mask", "check_number", "naming"]


Choice = TypeVar("Choice", bound=str)

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
    raise ValueError(f"{name} is {value!r}, which is not a choice here. Use one of: {', '.join(options)}.")


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
    if not isinstance(image, Tensor) or image.ndim != 4:
        what = f"shape {tuple(image.shape)}" if isinstance(image, Tensor) else type(image).__name__
        raise ValueError(
            f"{name} must be an IMAGE [B, H, W, 3]; got {what}. Connect the output of an image or annotator node."
        )
    if image.numel() == 0 or not image.is_floating_point():
        raise ValueError(
            f"{name} has the shape {tuple(image.shape)} and holds {str(image.dtype).removeprefix('torch.')} values, "
            "expected at least one picture with values in 0..1. Look at the node that made it."
        )
    if image.shape[-1] not in channels:
        what, remedy = CHANNELS.get(image.shape[-1], (plural(image.shape[-1], "channel"), "Convert it to RGB"))
        expected = "3 (RGB)" if channels == (3,) else "3 (RGB) or 4 (with alpha)"
        raise ValueError(f"{name} has {what}, expected {expected}. {remedy} before it comes here.")
    if not torch.isfinite(image).all():
        count = int((~torch.isfinite(image)).sum())
        raise ValueError(
            f"{name} has {plural(count, 'value')} of NaN or infinity, expected 0..1. "
            "Look at the node that made it: an annotator on a constant picture may divide by zero."
        )
    return image.movedim(-1, 1)


def check_mask(mask: Tensor, one: str = "the control acts") -> Tensor:
    """A host MASK [B, H, W] (or [H, W]) as [B, H, W]. `one` says what 1 means.

    Raises `ValueError` for another shape, and for values that are not finite or outside 0..1.
    """
    if not isinstance(mask, Tensor) or mask.ndim not in (2, 3) or mask.numel() == 0:
        what = f"the shape {tuple(mask.shape)}" if isinstance(mask, Tensor) else type(mask).__name__
        raise ValueError(f"mask must be a MASK [B, H, W]; got {what}.")
    mask = mask.unsqueeze(0) if mask.ndim == 2 else mask
    low, high = (float(bound) for bound in mask.aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("mask has values of NaN or infinity, expected 0..1.")
    if low < 0.0 or high > 1.0:
        raise ValueError(f"mask has values in {low:g}..{high:g}, expected 0..1 (1: {one}). Rescale it first.")
    return mask
