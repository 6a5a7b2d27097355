"""Key points as editors and scripts write them: JSON text, and frames that do not list people as OpenPose does.

* {"width": w, "height": h, "keypoints": [[x, y], ...]}, of the editors of A1111: 18 points a person, one after another;
* {"bodies": {"candidate": [[x, y], ...], "subset": [[...]]}, "hands": [...], "faces": [...]}, of DWPose's own code:
  `subset` has the numbers of a person's points and -1 for what was not found, `hands` all left ones and then all right;
* a person as {"keypoints": [...]}, 17 points of COCO or 18 of OpenPose.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from .person import BODY
from .wording import a_thing, entries_of

SIDES = {"width": ("canvas_width", "width"), "height": ("canvas_height", "height")}
"""How frames call the sides of their canvas."""


def read_text(text: str) -> Any:
    """The JSON in a text. Raises `ValueError` with the line where it stops being JSON."""
    try:
        return json.loads(text.strip().lstrip("\ufeff"))
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ValueError(
            f"the text is not JSON ({error.msg.lower()} at {place}); expected what a pose editor saves, not its path"
        ) from error
    except (RecursionError, ValueError) as error:  # nested or numbers of digits beyond what Python reads
        raise ValueError(
            "the text is not JSON of key points: it is nested too deep, or a number is too long"
        ) from error


def people_of(where: str, frame: Mapping[Any, Any]) -> Sequence[Any]:
    """The people of a frame in any of the forms, each as {"pose_keypoints_2d": ...} or as it comes.

    Raises `ValueError`, which begins with `where`, for any other form.
    """
    if "people" in frame:
        people = frame["people"]
    elif "keypoints" in frame:
        people = _of_points(where, frame["keypoints"])
    elif isinstance(frame.get("bodies"), Mapping):
        people = _of_dwpose(where, frame)
    else:
        hint = "; these are animals, which have another skeleton" if "animals" in frame else ""
        raise ValueError(f"{where} has the entries {entries_of(frame)}; expected people{hint}")
    people = [] if people is None else people
    if not isinstance(people, (list, tuple)):
        raise ValueError(f"{where}: people are {a_thing(people)}; expected a list")
    return people


def _of_points(where: str, points: object) -> list[dict[str, Any]]:
    """[[x, y], ...] of one person or of several, or a list of such lists, one a person."""
    rows = _list(f"{where}: keypoints", points)
    first = next((row for row in rows if row is not None), None)
    if not rows or not isinstance(first, (list, tuple)):
        return [{"pose_keypoints_2d": rows}]
    if first and isinstance(first[0], (list, tuple)):
        return [{"pose_keypoints_2d": person} for person in rows]
    step = BODY if len(rows) % BODY == 0 else len(rows)
    return [{"pose_keypoints_2d": rows[start : start + step]} for start in range(0, len(rows), step)]


def _of_dwpose(where: str, frame: Mapping[Any, Any]) -> list[dict[str, Any]]:
    bodies = frame["bodies"]
    hands, faces = (_list(f"{where}: {key}", frame.get(key)) for key in ("hands", "faces"))
    points, rows = (_list(f"{where}: bodies: {key}", bodies.get(key)) for key in ("candidate", "subset"))
    try:
        people: list[dict[str, Any]] = [
            {"pose_keypoints_2d": [points[int(number)] if number >= 0 else None for number in row[:BODY]]}
            for row in rows
        ]
    except (TypeError, ValueError, LookupError, OverflowError) as error:
        raise ValueError(
            f"{where}: bodies are not DWPose's; expected candidate, a list of points, and subset, a list of their "
            "numbers for each person"
        ) from error
    half = len(hands) // 2
    rest = {"hand_left_keypoints_2d": hands[:half], "hand_right_keypoints_2d": hands[half:], "face_keypoints_2d": faces}
    for key, parts in rest.items():
        for person, part in zip(people, parts, strict=False):  # there may be fewer faces than people
            person[key] = part
    return people


def _list(where: str, value: Any) -> list[Any]:
    """A list or an array, in Python's numbers; what is empty or null is none. Raises `ValueError` for anything else."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if value and not isinstance(value, (list, tuple)):
        raise ValueError(f"{where} is {a_thing(value)}; expected a list")
    return list(value or ())
