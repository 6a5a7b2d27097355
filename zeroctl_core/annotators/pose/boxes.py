"""Boxes around people: one array a picture, and the reader of BOUNDING_BOX, in which ComfyUI's nodes hand them on."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .tell import Tell, say_nothing
from .wording import a_thing, entries_of

PERSON = "person"
"""What the labels of COCO call people."""

SIDES = ("x", "y", "width", "height")

NORMALISED_REACH, SMALL_PICTURE = 2.0, 16
"""A box that begins and measures less than this is in 0..1 and not in pixels, unless both sides of the picture are
short: nobody is two pixels large."""


def read_boxes(value: object, size: tuple[int, int] | None = None, tell: Tell = say_nothing) -> list[np.ndarray]:
    """BOUNDING_BOX, or boxes of ours -> an array a picture: [n, 5] float64, x0, y0, x1, y1 in pixels, and a score.

    BOUNDING_BOX is {"x": left, "y": top, "width": ..., "height": ...} in pixels, with "label" and "score" if a detector
    made it: one such, a list of them, or a list of such lists, one a picture. The first two come back as a single
    array, which stands for every picture. A box without a score has the score 1. No box at all is fine. Left out are
    boxes with a label that does not begin with the word "person", and those of no area; `tell` hears how many.
    `size`: (height, width) of the pictures. With it a box in 0..1 is recognised and scaled, each by itself, and boxes
    outside of the picture or smaller than 2 pixels are left out; without it all boxes are in pixels.
    Raises `ValueError` for anything else, with the picture and the box where it is.
    """
    if isinstance(value, Mapping) or _is_array(value):
        value = [value]
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"boxes are {a_thing(value)}; expected BOUNDING_BOX: a box, or lists of boxes")
    if any(isinstance(entry, Mapping) for entry in value) or not value:
        value = [value]
    omitted: Counter[str] = Counter()
    rows = [_read_picture(f"boxes of picture {number}", boxes, omitted) for number, boxes in enumerate(value)]
    arrays = [_on_picture(boxes, size, omitted) for boxes in rows]
    if omitted:
        tell("boxes are left out: " + ", ".join(f"{number} {why}" for why, number in omitted.items()))
    return arrays


def boxes_for_each(boxes: Sequence[np.ndarray], pictures: int) -> list[np.ndarray]:
    """As many arrays as pictures: a single one is for all of them.

    Raises `ValueError` for any other number. ComfyUI's nodes go on with the last array or with none, and disagree.
    """
    if len(boxes) not in (1, pictures):
        raise ValueError(
            f"there are boxes for {len(boxes)} pictures, but {pictures} pictures; expected one list for all, "
            "or one each (an empty one where there is nobody)"
        )
    return list(boxes) * (pictures if len(boxes) == 1 else 1)


def surest(boxes: np.ndarray, max_people: int) -> np.ndarray:
    """[n, 5] -> at most `max_people` of them, the highest scores first."""
    return boxes[np.argsort(-boxes[:, 4], kind="stable")[:max_people]]


def _is_array(value: object) -> bool:
    return hasattr(value, "ndim") and hasattr(value, "shape")


def _read_picture(where: str, boxes: object, omitted: Counter[str]) -> np.ndarray:
    if boxes is None:
        boxes = []
    if isinstance(boxes, Mapping):
        boxes = [boxes]
    if _is_array(boxes):
        return _read_array(where, boxes)
    if not isinstance(boxes, (list, tuple)):
        raise ValueError(f"{where} are {a_thing(boxes)}; expected a list of boxes")
    rows = [_read_box(f"{where}: box {number}", box, omitted) for number, box in enumerate(boxes)]
    return np.array([row for row in rows if row is not None], dtype=np.float64).reshape(-1, 5)


def _read_array(where: str, array: Any) -> np.ndarray:
    rows = np.asarray(array, dtype=np.float64)
    if rows.size == 0:
        return np.zeros((0, 5))
    if rows.ndim != 2 or rows.shape[1] not in (4, 5):
        raise ValueError(f"{where} have the shape {rows.shape}; expected [n, 4] or [n, 5]: x0, y0, x1, y1, score")
    if not np.isfinite(rows).all():
        raise ValueError(f"{where} hold NaN or infinity; expected x0, y0, x1, y1 in pixels, and a score")
    return np.concatenate([rows, np.ones((len(rows), 1))], axis=1)[:, :5]


def _on_picture(rows: np.ndarray, size: tuple[int, int] | None, omitted: Counter[str]) -> np.ndarray:
    """In pixels of the picture, without those that show nobody."""
    rows = _only(rows, (rows[:, 2] > rows[:, 0]) & (rows[:, 3] > rows[:, 1]), "without area", omitted)
    if size is None:
        return rows
    height, width = size
    if max(size) > SMALL_PICTURE:
        is_normalised = (np.abs(rows[:, :2]) < NORMALISED_REACH).all(axis=1) & _is_tiny(rows)
        rows = np.where(is_normalised[:, None], rows * (width, height, width, height, 1), rows)
        rows = _only(rows, ~_is_tiny(rows), "smaller than 2 pixels", omitted)
    inside = (rows[:, 2:4] > 0).all(axis=1) & (rows[:, 0] < width) & (rows[:, 1] < height)
    return _only(rows, inside, "outside of the picture", omitted)


def _is_tiny(rows: np.ndarray) -> np.ndarray:
    tiny: np.ndarray = (rows[:, 2:4] - rows[:, :2] < NORMALISED_REACH).all(axis=1)
    return tiny


def _only(rows: np.ndarray, which: np.ndarray, why: str, omitted: Counter[str]) -> np.ndarray:
    if not which.all():
        omitted[why] += int((~which).sum())
    return rows[which]


def _read_box(where: str, box: object, omitted: Counter[str]) -> list[float] | None:
    """x0, y0, x1, y1, score, or None for a box around something else."""
    if not isinstance(box, Mapping):
        raise ValueError(f"{where} is {a_thing(box)}; expected an object with {', '.join(SIDES)}")
    if any(side not in box for side in SIDES):
        raise ValueError(f"{where} has the entries {entries_of(box)}; expected {', '.join(SIDES)} in pixels")
    label = box.get("label")
    if label and re.split(r"[^a-z]", str(label).strip().lower())[0] != PERSON:
        omitted[f"labelled {str(label)[:40]}"] += 1
        return None
    score = box.get("score")
    x, y, width, height, sure = (
        _number(f"{where}: {name}", entry)
        for name, entry in (*((side, box[side]) for side in SIDES), ("score", 1.0 if score is None else score))
    )
    return [x, y, x + width, y + height, sure]


def _number(where: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{where} is {a_thing(value)}; expected a number") from error
    if not math.isfinite(number):
        raise ValueError(f"{where} is {number}; expected a finite number")
    return number
