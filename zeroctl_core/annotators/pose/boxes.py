"""Boxes around people: one array a picture, and the reader of BOUNDING_BOX, in which ComfyUI's nodes hand them on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

PERSON = "person"
"""What the labels of COCO call people."""

SIDES = ("x", "y", "width", "height")


def read_boxes(value: object) -> list[np.ndarray]:
    """BOUNDING_BOX, or boxes of ours -> an array a picture: [n, 5] float64, x0, y0, x1, y1 in pixels, and a score.

    BOUNDING_BOX is {"x": left, "y": top, "width": ..., "height": ...} in pixels, with "label" and "score" if a detector
    made it: one such, a list of them, or a list of such lists, one a picture. The first two come back as a single
    array, which stands for every picture. A box without a score has the score 1. Boxes with a label other than
    "person" and boxes of no area are left out, and no box at all is fine.
    Raises `ValueError` for anything else, with the picture and the box where it is.
    """
    if isinstance(value, Mapping) or _is_array(value):
        value = [value]
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"boxes are a {type(value).__name__}; expected BOUNDING_BOX: a box, or lists of boxes")
    if any(isinstance(entry, Mapping) for entry in value) or not value:
        value = [value]
    return [_read_picture(f"boxes of picture {number}", boxes) for number, boxes in enumerate(value)]


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


def _read_picture(where: str, boxes: object) -> np.ndarray:
    if boxes is None:
        boxes = []
    if isinstance(boxes, Mapping):
        boxes = [boxes]
    if _is_array(boxes):
        return _read_array(where, boxes)
    if not isinstance(boxes, (list, tuple)):
        raise ValueError(f"{where} are a {type(boxes).__name__}; expected a list of boxes")
    rows = [_read_box(f"{where}: box {number}", box) for number, box in enumerate(boxes)]
    return _with_area(np.array([row for row in rows if row is not None], dtype=np.float64).reshape(-1, 5))


def _read_array(where: str, array: Any) -> np.ndarray:
    rows = np.asarray(array, dtype=np.float64)
    if rows.size == 0:
        return np.zeros((0, 5))
    if rows.ndim != 2 or rows.shape[1] not in (4, 5):
        raise ValueError(f"{where} have the shape {rows.shape}; expected [n, 4] or [n, 5]: x0, y0, x1, y1, score")
    if not np.isfinite(rows).all():
        raise ValueError(f"{where} hold NaN or infinity; expected x0, y0, x1, y1 in pixels, and a score")
    return _with_area(np.concatenate([rows, np.ones((len(rows), 1))], axis=1)[:, :5])


def _with_area(rows: np.ndarray) -> np.ndarray:
    return rows[(rows[:, 2] > rows[:, 0]) & (rows[:, 3] > rows[:, 1])]


def _read_box(where: str, box: object) -> list[float] | None:
    """x0, y0, x1, y1, score, or None for a box around something else."""
    if not isinstance(box, Mapping):
        raise ValueError(f"{where} is a {type(box).__name__}; expected a dict with {', '.join(SIDES)}")
    missing = [side for side in SIDES if side not in box]
    if missing:
        raise ValueError(
            f"{where} has the entries {', '.join(map(str, box)) or 'none'}; expected {', '.join(SIDES)} in pixels"
        )
    label = box.get("label")
    if label and str(label).strip().lower() != PERSON:
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
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where} is {value!r}; expected a number") from error
    if not math.isfinite(number):
        raise ValueError(f"{where} is {number}; expected a finite number")
    return number
