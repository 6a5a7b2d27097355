"""The points of one part of a person, from the numbers in which programs write them."""

from __future__ import annotations

import numpy as np

from .coco import openpose_from_coco
from .person import BODY, FACE, HAND
from .tell import Tell
from .wording import why_no_numbers

FROM_BODY_25 = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)
"""Which of OpenPose's newer 25 body points (with the middle of the hips and the feet) is each of the 18."""

BODIES = {17: "COCO's", BODY: "OpenPose's", 20: "OpenPose's and two toes", 25: "OpenPose's BODY_25"}
"""How many points a body may have, and whose they are."""

FACES = (68, FACE)
"""How many points a whole face has; released preprocessors leave out those that they did not find, and write up to
one more."""


def read_part(name: str, where: str, numbers: object, tell: Tell) -> np.ndarray | None:
    """x, y, score of each point, or x, y, flat or in rows -> [points, 3] of body, left_hand, right_hand or face.

    None for a part of which nothing was found. A point at (0, 0), one that is null or not finite, and one without a
    score whose x and y are negative, are not found: all zero.
    Raises `ValueError`, which begins with `where`, for another number of points and for what is not numbers.
    """
    rows = _rows(name, where, numbers)
    if rows is None:
        return None
    if rows.shape[1] == 2:
        rows = np.concatenate([rows, ~(rows < 0).all(axis=1, keepdims=True)], axis=1)
    rows = rows.copy()
    rows[~np.isfinite(rows).all(axis=1) | (rows[:, :2] == 0).all(axis=1)] = 0
    if name == "body":
        return _body(rows, tell)
    return _face(rows, tell) if name == "face" else rows


def _body(points: np.ndarray, tell: Tell) -> np.ndarray:
    if len(points) == 17:
        body = openpose_from_coco(points, threshold=0)
        return np.where(body[:, 2:] > 0, body, 0.0)
    if len(points) == 25:
        return points[list(FROM_BODY_25)]
    if len(points) > BODY:
        tell(f"bodies have {len(points)} points; the toes after the first {BODY} are not drawn")
    return points[:BODY]


def _face(points: np.ndarray, tell: Tell) -> np.ndarray:
    """Dots that nothing joins: any of them may be missing, wherever in the list it was."""
    if len(points) > FACE:
        tell(f"faces have {len(points)} points; the first {FACE} are drawn")
    elif len(points) not in FACES:
        tell(f"faces have {len(points)} points in place of {FACES[0]} or {FACE}; those are drawn")
    return np.concatenate([points, np.zeros((FACE, 3))])[:FACE]


def _rows(name: str, where: str, numbers: object) -> np.ndarray | None:
    """[points, 2] or [points, 3]."""
    if numbers is None:
        return None
    try:
        array = np.asarray(_without_gaps(numbers), dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{where} {why_no_numbers(numbers)}; expected a list of numbers: x, y, score, ...") from error
    if array.size == 0:
        return None
    columns = array.shape[-1] if array.ndim > 1 and array.shape[-1] in (2, 3) else _columns(name, array.size)
    if columns and _is_count(name, array.size // columns):
        return array.reshape(-1, columns)
    part = name.rpartition("_")[2]
    expected = {"body": "17, 18, 20 or 25", "face": f"{FACES[0]} or {FACE}"}.get(part, str(HAND))
    raise ValueError(
        f"{where} holds {array.size} numbers; expected {expected} points, each x, y, score or x, y. "
        f"To draw the rest without it, switch {part if part != 'hand' else 'hands'} off"
    )


def _columns(name: str, size: int) -> int:
    """How many numbers a point has in a flat list of `size`; 0 where no number of points fits."""
    if size % 3 == 0 and _is_count(name, size // 3):
        return 3
    is_whole = name != "face" or size // 2 in FACES
    return 2 if size % 2 == 0 and is_whole and _is_count(name, size // 2) else 0


def _is_count(name: str, points: int) -> bool:
    if name == "body":
        return points in BODIES
    return points <= FACE + 1 if name == "face" else points == HAND


def _without_gaps(numbers: object) -> object:
    """Rows of which some are null: those become rows of NaN."""
    if not isinstance(numbers, (list, tuple)):
        return numbers
    lengths = {len(row) for row in numbers if isinstance(row, (list, tuple))}
    return [[np.nan] * max(lengths) if row is None else row for row in numbers] if lengths else numbers
