"""What a user should hear of the conditions that an annotator hands on: they are empty, inverted or of another kind."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zeroctl_core.annotators import Annotator
from zeroctl_core.annotators.params import Value
from zeroctl_core.files.plural import plural

from ..notices import own_notice

__all__ = ["say_doubts", "say_if_absent", "say_if_empty", "say_if_lost", "say_if_stretched"]

INVERTED = 0.6
"""A line drawing is white on black: with so large a share of white its polarity is doubtful."""
LARGEST = 5
"""Classes that a notice names."""
BENT = 0.02
"""Proportions that differ by more than rounding to whole pixels does."""


def say_doubts(annotator: Annotator, picture: Tensor, condition: Tensor, **settings: Value) -> None:
    """A notice for conditions that are of one colour, for lines that look inverted and for what the annotator doubts.

    picture, condition: [B, 3, H, W] in 0..1, the picture as the annotator saw it.
    """
    # what is left of a picture with a hole is told by its mask
    conditions = condition if annotator.kind != "masked" else condition[:0]
    flat = [n for n, one in enumerate(conditions) if one.amin() == one.amax()]
    if flat:
        who = "The condition is" if len(condition) == 1 else f"{len(flat)} of {len(condition)} conditions are"
        own_notice(annotator.title, f"{who} one colour: {_cause(picture[flat[0]])}")
    elif annotator.transparent == "drawing" and (white := float(condition.mean())) > INVERTED:
        remedy = "set polarity" if any(param.name == "polarity" for param in annotator.params) else "invert the picture"
        own_notice(
            annotator.title, f"{white:.0%} of the condition is white, where lines on black are expected: {remedy}."
        )
    if text := annotator.doubts(picture, condition, **settings):
        own_notice(annotator.title, text)


def say_if_empty(title: str, mask: Tensor) -> None:
    """A notice for a mask [B, 1, H, W] of a hole that leaves nothing, or all of a picture, to be drawn anew."""
    shares = (mask > 0.5).flatten(1).float().mean(1)
    empty, full = int((shares == 0).sum()), int((shares == 1).sum())
    if empty:
        own_notice(
            title,
            f"{plural(empty, 'mask')} of {len(shares)} without a pixel above one half: no hole is made. Load Image "
            "gives an empty MASK for a picture without transparency; paint one with its mask editor.",
        )
    if full:
        own_notice(title, f"{plural(full, 'mask')} of {len(shares)} covering the whole picture: nothing of it is left.")


def say_if_absent(title: str, mask: Tensor, ids: Tensor, number: int) -> None:
    """A notice for pictures that show nothing of the class `number`: their masks [B, H, W] are 0 everywhere.

    ids: the class of each pixel, [B, H, W]. The largest classes of the first such picture are named.
    """
    absent = [row for row, one in enumerate(mask) if not one.any()]
    if absent:
        counts = ids[absent[0]].flatten().bincount()
        largest = counts.argsort(descending=True)[: min(LARGEST, int((counts > 0).sum()))].tolist()
        which = "the picture shows" if len(mask) == 1 else f"{len(absent)} of {len(mask)} pictures show"
        of = "" if len(mask) == 1 else f" of picture {absent[0]}"
        own_notice(
            title,
            f"{which} nothing of mask_class {number}: the mask is 0 everywhere. The largest classes{of} are "
            f"{', '.join(map(str, largest))}.",
        )


def say_if_lost(title: str, mask: Tensor, hole: Tensor) -> None:
    """A notice for parts of a mask [n, H, W] of which nothing is left above one half in a smaller one, [B, 1, h, w].

    They are lines thinner than half a pixel of the smaller one. The edges of larger parts are not meant.
    """
    size = (hole.shape[-2], hole.shape[-1])
    if mask.shape[-2] <= size[0] and mask.shape[-1] <= size[1]:
        return
    lines = F.adaptive_max_pool2d(mask[:, None].float(), size) > 0.5
    holes = F.max_pool2d((hole > 0.5).float(), 3, stride=1, padding=1) > 0
    lost = int((lines & ~holes).flatten(1).any(1).sum())
    if lost and bool(holes.any()):  # where nothing is left, `say_if_empty` says it
        own_notice(
            title,
            f"{plural(lost, 'mask')} of {len(hole)} with lines that are thinner than half a pixel at "
            f"{size[1]}x{size[0]}: they make no hole. Draw them thicker, or set resolution to 0.",
        )


def say_if_stretched(title: str, mask: Tensor, picture: object) -> None:
    """A notice for a mask [B, H, W] with other proportions than the picture [B, H, W, C], if that is one."""
    if not isinstance(picture, Tensor) or picture.ndim != 4 or picture.numel() == 0:
        return
    (height, width), (own_height, own_width) = mask.shape[-2:], picture.shape[1:3]
    if abs(width * own_height / (height * own_width) - 1) > BENT:
        own_notice(
            title,
            f"the mask has {width}x{height} pixels and the picture {own_width}x{own_height}, other proportions: it may "
            "belong to another picture.",
        )


def _cause(picture: Tensor) -> str:
    """Why the condition of a picture [3, H, W] is of one colour."""
    if (picture.amax(dim=(1, 2)) > picture.amin(dim=(1, 2))).any():
        return "nothing was found with these settings."
    if torch.equal(picture, torch.zeros_like(picture)):
        return (
            "the picture, or the mask that is the drawing, is black. Load Image makes what is transparent black, and "
            "black ink on it vanishes. Its MASK shows such ink in black, and is empty for a picture that is opaque."
        )
    return "the picture is of one colour itself."
