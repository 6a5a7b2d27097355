"""Frames of several canvases, drawn as one batch of pictures: each keeps its proportions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...files.plural import some
from .keypoints import PARTS
from .person import Frame, Person
from .tell import Tell, say_nothing


def canvas_of(frames: Sequence[Frame]) -> tuple[int, int]:
    """(height, width) of the canvas of all frames: that of the first with anybody on it, else of the first."""
    frame = next(
        (frame for frame in frames if any(part.any() for one in frame.people for part in one.parts)), frames[0]
    )
    return frame.height, frame.width


def on_one_canvas(frames: Sequence[Frame], tell: Tell = say_nothing) -> list[Frame]:
    """The frames on `canvas_of(frames)`: one of other proportions is fitted into it, centred, the whole of it visible.

    A frame of the same proportions stays as it is, whatever its size. `tell` hears which are fitted.
    """
    if not frames:
        return []
    height, width = canvas_of(frames)
    fitted = {
        number: _fitted(frame, height, width)
        for number, frame in enumerate(frames)
        if not _is_alike(frame, height, width)
    }
    if numbers := [number for number in fitted if frames[number].people]:
        frames_have = f"frame {numbers[0]} has" if len(numbers) == 1 else f"frames {some(numbers)} have"
        them = "it is" if len(numbers) == 1 else "they are"
        tell(
            f"{frames_have} other proportions than the canvas of {width} x {height}; "
            f"{them} fitted into it, with margins"
        )
    return [fitted.get(number, frame) for number, frame in enumerate(frames)]


def _is_alike(frame: Frame, height: int, width: int) -> bool:
    """Whether the sides of both differ by rounding only: by a pixel of the smaller one."""
    across, down = frame.width * height, frame.height * width
    return abs(across - down) <= max(width, height, frame.width, frame.height)


def _fitted(frame: Frame, height: int, width: int) -> Frame:
    scale = min(width / frame.width, height / frame.height)
    left, top = (width - frame.width * scale) / 2, (height - frame.height * scale) / 2

    def moved(part: np.ndarray) -> np.ndarray:
        points = part * (scale, scale, 1) + (left, top, 0)
        return np.where(part[:, 2:] > 0, points, 0.0)

    people = tuple(Person(**{name: moved(getattr(person, name)) for name in PARTS}) for person in frame.people)
    return replace(frame, people=people, height=height, width=width)
