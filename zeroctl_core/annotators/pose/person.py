"""A person is four lists of key points; a frame is the people on one picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np

BODY, HAND, FACE = 18, 21, 70
"""How many points a part has in OpenPose's order. Of the face's 70 the last two are the pupils."""


@dataclass(frozen=True, eq=False)
class Person:
    """Key points in OpenPose's order, each part [points, 3]: x and y in pixels of the frame, and a score.

    A score of 0 says: not found. A part that is left out is one of which nothing was found.
    Raises `ValueError` for a part of another shape.
    """

    body: np.ndarray = field(default_factory=partial(np.zeros, (BODY, 3)))
    left_hand: np.ndarray = field(default_factory=partial(np.zeros, (HAND, 3)))
    right_hand: np.ndarray = field(default_factory=partial(np.zeros, (HAND, 3)))
    face: np.ndarray = field(default_factory=partial(np.zeros, (FACE, 3)))

    def __post_init__(self) -> None:
        for name, count in (("body", BODY), ("left_hand", HAND), ("right_hand", HAND), ("face", FACE)):
            shape = np.shape(getattr(self, name))
            if shape != (count, 3):
                raise ValueError(f"the {name} of a person has the shape {shape}; expected ({count}, 3): x, y, score")

    @property
    def parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        return self.body, self.left_hand, self.right_hand, self.face


@dataclass(frozen=True, eq=False)
class Frame:
    """The people on a picture of `height` x `width` pixels; nobody is fine. `note`: why, where nobody is."""

    people: tuple[Person, ...]
    height: int
    width: int
    note: str = ""

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ValueError(f"a frame is {self.height} x {self.width} pixels (height x width); expected 1 or more")
