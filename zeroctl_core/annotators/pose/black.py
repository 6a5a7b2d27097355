"""Why nothing is on the drawing of a frame, in words for whoever expected somebody."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from ...files.plural import some
from .person import Frame


def why_black(frame: Frame, parts: Collection[str], threshold: float) -> str:
    """The cause, for a frame on whose drawing nothing is. `parts`: those that were to be drawn."""
    if frame.note:
        return frame.note
    if not frame.people:
        return "nobody is on the frame"
    if not parts:
        return "body, hands and face are switched off"
    points = _found(frame, parts)
    if len(points) == 0:
        others = [name for name in ("body", "left_hand", "right_hand", "face") if len(_found(frame, [name]))]
        hint = f", only of the {_and(others)}, which is switched off" if others else ""
        return f"nothing was found of the {_and(parts)}{hint}"
    sure = points[points[:, 2] >= threshold]
    if len(sure) == 0:
        best = points[:, 2].max()
        return f"all points score below the threshold of {threshold:g}, the surest {best:.2g}"
    inside = ((sure[:, :2] >= 0) & (sure[:, :2] < (frame.width, frame.height))).all(axis=1)
    return "nothing is left to draw" if inside.any() else "all points lie outside of the picture"


def black_pictures(causes: Sequence[tuple[int, str]], total: int) -> str:
    """`2 of 5 pictures are black: nobody is on the frame (0, 3)` for the numbers of frames and their causes."""
    numbers: dict[str, list[int]] = {}
    for number, cause in causes:
        numbers.setdefault(cause, []).append(number)
    if total == 1:
        return f"the picture is black: {next(iter(numbers))}"
    is_are = "is" if len(causes) == 1 else "are"
    text = "; ".join(f"{cause} ({some(frames)})" for cause, frames in numbers.items())
    return f"{len(causes)} of {total} pictures {is_are} black: {text}"


def _found(frame: Frame, parts: Collection[str]) -> np.ndarray:
    points = np.concatenate([np.zeros((0, 3)), *(getattr(person, name) for person in frame.people for name in parts)])
    return points[points[:, 2] > 0]


def _and(names: Collection[str]) -> str:
    """`body, hands and face` for names of parts."""
    words = list(dict.fromkeys("hands" if name.endswith("hand") else name for name in names))
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
