"""POSE_KEYPOINT, the key points that ComfyUI's nodes hand to each other, in three dialects.

All three are a list of frames {"people": [...], "canvas_width": w, "canvas_height": h}, a person is
{"pose_keypoints_2d": [x, y, score, x, y, score, ...], "hand_left_keypoints_2d": ..., "hand_right_keypoints_2d": ...,
"face_keypoints_2d": ...}. They differ in this:

* ComfyUI's SDPose: pixels, real scores, feet as well, a part of which nothing was found is all zeros;
* comfyui_controlnet_aux, OpenPose: coordinates in 0..1, scores 0 or 1, such a part is None;
* comfyui_controlnet_aux, DWPose: pixels, scores 0 or 1, such a part is None, and the body may be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .person import BODY, FACE, HAND, Frame, Person

NORMALISED_REACH = 2.0
"""A frame whose farthest point lies within this is in 0..1, not in pixels: a figure may stick out of its picture by
once its size, and nobody is two pixels large."""

FROM_BODY_25 = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)
"""Which of OpenPose's newer 25 body points (with the middle of the hips and the feet) is each of the 18."""

PARTS = {
    "body": ("pose_keypoints_2d", (BODY, 25)),
    "left_hand": ("hand_left_keypoints_2d", (HAND,)),
    "right_hand": ("hand_right_keypoints_2d", (HAND,)),
    "face": ("face_keypoints_2d", (68, FACE)),
}
FEET = "foot_keypoints_2d"

DIALECTS = ("comfyui", "aux_openpose", "aux_dwpose")
"""That `write_keypoints` knows; `read_keypoints` recognises them."""


def read_keypoints(keypoints: object) -> list[Frame]:
    """POSE_KEYPOINT of any dialect -> our frames. One frame without its list is fine, feet are left out.

    Raises `ValueError` for anything else, with the frame, the person and the part where it is.
    """
    if isinstance(keypoints, (Mapping, Frame)):
        keypoints = [keypoints]
    if not isinstance(keypoints, (list, tuple)):
        raise ValueError(f"key points are {_what(keypoints)}; expected POSE_KEYPOINT, a list of frames")
    return [_read_frame(f"frame {number}", frame) for number, frame in enumerate(keypoints)]


def write_keypoints(frames: Sequence[Frame], dialect: str = "comfyui", threshold: float = 0.3) -> list[dict[str, Any]]:
    """Our frames -> POSE_KEYPOINT in one of `DIALECTS`.

    comfyui: every part is written, the feet as zeros. aux_openpose and aux_dwpose have no feet, None for a part of
    which nothing was found, and no score but 0 and 1: points that score below `threshold` are 0.
    Raises `ValueError` for another dialect.
    """
    if dialect not in DIALECTS:
        raise ValueError(f"the dialect of key points is {dialect!r}; expected one of {', '.join(DIALECTS)}")
    return [
        {
            "canvas_width": frame.width,
            "canvas_height": frame.height,
            "people": [_written(person, frame, dialect, threshold) for person in frame.people],
        }
        for frame in frames
    ]


def _written(person: Person, frame: Frame, dialect: str, threshold: float) -> dict[str, list[float] | None]:
    parts: dict[str, list[float] | None] = {}
    for name, (key, _) in PARTS.items():
        points = getattr(person, name)
        if dialect != "comfyui":
            # of a score those dialects keep only whether there is one
            visible = (points[:, 2:] > 0) & (points[:, 2:] >= threshold)
            scale = (frame.width, frame.height) if dialect == "aux_openpose" else (1, 1)
            points = np.where(visible, np.concatenate([points[:, :2] / scale, visible], axis=1), 0.0)
        parts[key] = points.ravel().tolist() if dialect == "comfyui" or points.any() else None
    return {**parts, FEET: [0.0] * 18} if dialect == "comfyui" else parts


def _read_frame(where: str, frame: object) -> Frame:
    if isinstance(frame, Frame):
        return frame
    if not isinstance(frame, Mapping):
        raise ValueError(f"{where} is {_what(frame)}; expected a dict with people, canvas_width and canvas_height")
    if "people" not in frame:
        hint = "; these are animals, which have another skeleton" if "animals" in frame else ""
        raise ValueError(f"{where} has the entries {', '.join(map(str, frame)) or 'none'}; expected people{hint}")
    height, width = (_side(where, key, frame.get(key)) for key in ("canvas_height", "canvas_width"))
    people = frame["people"] if frame["people"] is not None else []
    if not isinstance(people, (list, tuple)):
        raise ValueError(f"{where}: people are {_what(people)}; expected a list")
    read = [_read_person(f"{where}, person {number}", person) for number, person in enumerate(people)]
    if _is_normalised(read):
        read = [_in_pixels(person, height, width) for person in read]
    return Frame(tuple(read), height, width)


def _side(where: str, key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 1 <= value < 2**31:
        raise ValueError(f"{where}: {key} is {value!r}; expected the size of the picture in pixels")
    return int(value)


def _read_person(where: str, person: object) -> Person:
    if isinstance(person, Person):
        return person
    if not isinstance(person, Mapping):
        raise ValueError(f"{where} is {_what(person)}; expected a dict with pose_keypoints_2d and the like")
    if not any(key in person for key, _ in PARTS.values()):
        expected = ", ".join(key for key, _ in PARTS.values())
        raise ValueError(
            f"{where} has the entries {', '.join(map(str, person)) or 'none'}; expected some of {expected}"
        )
    read = {name: _read_part(f"{where}: {key}", person.get(key), counts) for name, (key, counts) in PARTS.items()}
    return Person(**{name: part for name, part in read.items() if part is not None})


def _read_part(where: str, numbers: object, counts: tuple[int, ...]) -> np.ndarray | None:
    """[x, y, score] * n, flat or in threes -> [points, 3]; None for a part of which nothing was found."""
    if numbers is None:
        return None
    try:
        flat = np.asarray(numbers, dtype=np.float64).ravel()
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where} is {_what(numbers)}; expected a list of numbers: x, y, score, ...") from error
    if flat.size == 0:
        return None
    if flat.size not in [3 * count for count in counts]:
        expected = " or ".join(f"{3 * count} ({count} points)" for count in counts)
        hint = "; 17 points are COCO's: use openpose_from_coco" if flat.size == 51 and BODY in counts else ""
        raise ValueError(f"{where} holds {flat.size} numbers; expected {expected}, each x, y, score{hint}")
    points: np.ndarray = flat.reshape(-1, 3).copy()
    points[~np.isfinite(points).all(axis=1)] = 0
    if len(points) == 25:
        points = points[list(FROM_BODY_25)]
    if len(points) == 68:
        points = np.concatenate([points, np.zeros((FACE - 68, 3))])
    return points


def _is_normalised(people: list[Person]) -> bool:
    """Whether a frame is in 0..1, by all its people and parts together: a hand alone may lie near a corner."""
    points = np.concatenate([np.zeros((0, 3)), *(part for person in people for part in person.parts)])
    visible = points[points[:, 2] > 0, :2]
    return len(visible) > 0 and bool(np.abs(visible).max() <= NORMALISED_REACH)


def _in_pixels(person: Person, height: int, width: int) -> Person:
    size = (width, height, 1)
    return replace(person, **{name: getattr(person, name) * size for name in PARTS})


def _what(thing: object) -> str:
    """How an error names a thing: its type, and its value where that is short."""
    text = repr(thing)
    return f"a {type(thing).__name__}" + (f" ({text})" if len(text) <= 40 else "")
