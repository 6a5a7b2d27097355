"""POSE_KEYPOINT, the key points that ComfyUI's nodes hand to each other, in three dialects.

All three are a list of frames {"people": [...], "canvas_width": w, "canvas_height": h}, a person is
{"pose_keypoints_2d": [x, y, score, x, y, score, ...], "hand_left_keypoints_2d": ..., "hand_right_keypoints_2d": ...,
"face_keypoints_2d": ...}. They differ in this:

* ComfyUI's SDPose: pixels, real scores, feet as well, a part of which nothing was found is all zeros;
* comfyui_controlnet_aux, OpenPose: coordinates in 0..1, scores 0 or 1, such a part is None;
* comfyui_controlnet_aux, DWPose: pixels, scores 0 or 1, such a part is None, and the body may be.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from .editors import SIDES, people_of
from .parts import read_part
from .person import Frame, Person
from .tell import Tell, say_nothing
from .units import units_of
from .wording import a_thing, entries_of

PARTS = {
    "body": "pose_keypoints_2d",
    "left_hand": "hand_left_keypoints_2d",
    "right_hand": "hand_right_keypoints_2d",
    "face": "face_keypoints_2d",
}
FEET = "foot_keypoints_2d"

DIALECTS = ("comfyui", "aux_openpose", "aux_dwpose")
"""That `write_keypoints` knows; `read_keypoints` recognises them."""


def read_keypoints(
    keypoints: object,
    parts: Collection[str] = tuple(PARTS),
    canvas: tuple[int, int] | None = None,
    tell: Tell = say_nothing,
) -> list[Frame]:
    """POSE_KEYPOINT of any dialect, or what an editor saves (`editors`) -> our frames. One frame without its list is
    fine, feet are left out.

    Every part is in 0..1 or in pixels by itself. `parts`: those that are wanted; the others are read where that is
    possible, and empty where not. `canvas`: (height, width) in pixels of frames that name none. `tell` hears what is
    left out of a part.
    Raises `ValueError` for anything else, with the frame, the person and the part where it is.
    """
    if isinstance(keypoints, (Mapping, Frame)):
        keypoints = [keypoints]
    if not isinstance(keypoints, (list, tuple)):
        raise ValueError(f"key points are {a_thing(keypoints)}; expected POSE_KEYPOINT, a list of frames")
    return [_read_frame(f"frame {number}", frame, parts, canvas, tell) for number, frame in enumerate(keypoints)]


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
    for name, key in PARTS.items():
        points = getattr(person, name)
        if dialect != "comfyui":
            # of a score those dialects keep only whether there is one
            visible = (points[:, 2:] > 0) & (points[:, 2:] >= threshold)
            scale = (frame.width, frame.height) if dialect == "aux_openpose" else (1, 1)
            points = np.where(visible, np.concatenate([points[:, :2] / scale, visible], axis=1), 0.0)
        parts[key] = points.ravel().tolist() if dialect == "comfyui" or points.any() else None
    return {**parts, FEET: [0.0] * 18} if dialect == "comfyui" else parts


def _read_frame(
    where: str, frame: object, selection: Collection[str], canvas: tuple[int, int] | None, tell: Tell
) -> Frame:
    if isinstance(frame, Frame):
        return frame
    if not isinstance(frame, Mapping):
        raise ValueError(f"{where} is {a_thing(frame)}; expected an object with people, canvas_width and canvas_height")
    people = people_of(where, frame)
    height, width = _size(where, frame, canvas, tell)
    places = [f"{where}, person {number}" for number in range(len(people))]
    read = [_read_person(place, person, selection, tell) for place, person in zip(places, people, strict=True)]
    # persons of ours are in pixels as they are
    units = iter(units_of([parts for parts in read if not isinstance(parts, Person)], height, width))
    return Frame(
        tuple(
            parts if isinstance(parts, Person) else _in_pixels(place, parts, next(units), selection, (width, height, 1))
            for place, parts in zip(places, read, strict=True)
        ),
        height,
        width,
    )


def _size(where: str, frame: Mapping[str, Any], canvas: tuple[int, int] | None, tell: Tell) -> tuple[int, int]:
    """Height and width of the frame: its own, else those of the canvas."""
    own = {side: next((frame[key] for key in keys if frame.get(key) is not None), None) for side, keys in SIDES.items()}
    if canvas is not None and own["height"] is None and own["width"] is None:
        return canvas
    height, width = (_side(where, side, own[side]) for side in ("height", "width"))
    if canvas is not None and canvas != (height, width):
        tell(
            f"key points name their canvas, {width} x {height}; the width and height given beside them count for "
            "those that name none"
        )
    return height, width


def _side(where: str, side: str, value: Any) -> int:
    if value is None:
        raise ValueError(
            f"{where} does not name the {side} of its canvas (canvas_{side}, or {side}): "
            "give the width and height of the picture in pixels beside the key points"
        )
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 1 <= number < 2**31:
        raise ValueError(f"{where}: canvas_{side} is {a_thing(value)}; expected the size of the picture in pixels")
    return int(number)


def _read_person(where: str, person: object, selection: Collection[str], tell: Tell) -> Person | dict[str, np.ndarray]:
    """The parts of which something was found, in the unit that they come in."""
    if isinstance(person, Person):
        return person
    if person is None or person == {}:
        return {}
    if not isinstance(person, Mapping):
        raise ValueError(f"{where} is {a_thing(person)}; expected an object with pose_keypoints_2d and the like")
    if "keypoints" in person and PARTS["body"] not in person:
        person = {**person, PARTS["body"]: person["keypoints"]}
    if not any(key in person for key in PARTS.values()):
        raise ValueError(f"{where} has the entries {entries_of(person)}; expected some of {', '.join(PARTS.values())}")
    parts: dict[str, np.ndarray] = {}
    for name, key in PARTS.items():
        try:
            part = read_part(name, f"{where}: {key}", person.get(key), tell if name in selection else say_nothing)
        except ValueError:
            if name in selection:
                raise
            continue  # it is not drawn, so it stops nothing
        if part is not None:
            parts[name] = part
    return parts


def _in_pixels(
    where: str, parts: Mapping[str, np.ndarray], units: Mapping[str, str | None], selection: Collection[str], size: Any
) -> Person:
    for name, unit in units.items():
        if unit is None and name in selection and parts[name].any():
            raise ValueError(
                f"{where}: {PARTS[name]} could be in 0 to 1 or in pixels, for all of it lies close to the corner and "
                "no other part of the frame says which. Write it in the unit of the others, or leave it out"
            )
    return Person(**{name: parts[name] * size if unit == "normalised" else parts[name] for name, unit in units.items()})
