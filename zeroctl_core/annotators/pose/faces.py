"""The 68 points of the faces of people whose nose and eyes are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from ..networks.face_landmarks import POINTS, SIDE, FaceLandmarks
from ..pictures.check import check_picture
from ..pictures.opencv import check_opencv
from ..pictures.pixels import from_uint8, to_uint8
from ..pictures.through_net import check_finite
from .person import FACE, Frame, Person
from .tell import Tell, say_nothing

NOSE, RIGHT_EYE, LEFT_EYE = 0, 14, 15
"""Of the body's 18 points."""
EYE_POINTS = slice(36, 42), slice(42, 48)
"""Of the face's: the eye on the left of an upright picture, which is the right one, and the other."""

FIRST_SQUARE, BELOW_THE_EYES = 2.8, 0.35
"""Side of the first crop and how far its centre lies below the eyes, in distances between them."""
MARGIN, LOOKS = 1.3, 3
"""A further look shows the square of the points that the last one found, so much larger. With eyes that are 4 pixels
wrong (45 apart), the points of one look scatter by 1 pixel, those of the third by .2."""

SMALLEST = 8.0
"""Pixels between the eyes: at 11 the points are 6 % of that away from where they are in a sharp picture, at 6 a
quarter."""
MOST_FINE = 8
"""A large face is cut out so many times as fine at most, and then averaged down."""

FARTHEST, SETTLED = 0.4, 0.1
"""In distances between the eyes: so far may the face's eyes be from the body's, and so far may its points move at the
last look. Where the network sees no face it finds points all the same. Faces of 17 people: at most .25 and .053; a face
in profile and one behind a camera: .5 and .15, .68 and .23."""

UNSURE = "a face of which nose and both eyes are not all found is not drawn"
SMALL = f"a face with less than {SMALLEST:g} pixels between the eyes is not drawn"
ASTRAY = "a face of which the network of faces finds nothing where the eyes are is not drawn"


def find_faces(image: Tensor, frames: Sequence[Frame], net: nn.Module, tell: Tell = say_nothing) -> list[Frame]:
    """The same people with the points of their faces: [B, 3, H, W] in 0..1 and B frames -> B frames.

    `net`: `load_network("face_landmarks", file)`. The face is looked for where the body has nose and eyes, upright by
    the line of the eyes, three times, each look where the last one found it. Its points score what the worst of nose
    and eyes scores; the pupils are not found. `tell` hears why a face is left out: turned away, too small, or astray.

    Source: face-api, which shows its network the square around a face; the rest is ours.
    Raises `ValueError` for another network, another number of frames, for a net that gives NaN or infinity, and for
    what `check_picture` refuses.
    """
    check_picture("pose", image)
    if not isinstance(net, FaceLandmarks):
        raise ValueError(
            f"the network of faces is a {type(net).__name__}; expected load_network('face_landmarks', ...)"
        )
    if len(frames) != len(image):
        raise ValueError(f"there are {len(frames)} frames for {len(image)} pictures; expected one a picture")
    if not any(frame.people for frame in frames):
        return list(frames)
    check_opencv("pose")
    pictures = to_uint8(image, by_opencv=True)
    return [
        replace(frame, people=tuple(_with_face(picture, person, net, tell) for person in frame.people))
        for picture, frame in zip(pictures, frames, strict=True)
    ]


def _with_face(picture: np.ndarray, person: Person, net: FaceLandmarks, tell: Tell) -> Person:
    nose, right, left = person.body[[NOSE, RIGHT_EYE, LEFT_EYE]]
    score = min(nose[2], right[2], left[2])
    middle, across = (right[:2] + left[:2]) / 2, left[:2] - right[:2]
    # of somebody seen from behind, the right eye is on the right, and the nose then above them
    is_turned = across[0] * (nose[1] - middle[1]) - across[1] * (nose[0] - middle[0]) <= 0
    apart = float(np.hypot(*across))
    if score <= 0 or is_turned:
        tell(UNSURE)
    elif apart < SMALLEST:
        tell(SMALL)
    else:
        points, move = _points(picture, middle, across, net)
        eyes = np.stack([points[part].mean(axis=0) for part in EYE_POINTS])
        off = np.hypot(*(eyes - (right[:2], left[:2])).T).max()
        if off <= FARTHEST * apart and move <= SETTLED * apart:
            face = np.zeros((FACE, 3))
            face[:POINTS] = np.concatenate([points, np.full((POINTS, 1), score)], axis=1)
            return replace(person, face=face)
        tell(ASTRAY)
    return person


def _points(
    picture: np.ndarray, middle: np.ndarray, across: np.ndarray, net: FaceLandmarks
) -> tuple[np.ndarray, float]:
    """[H, W, 3] uint8 and the eyes -> [68, 2], x and y in pixels, and how far these moved at the last look."""
    apart = np.hypot(*across)
    axes = _axes(across)
    centre, side = middle + BELOW_THE_EYES * apart * axes[:, 1], FIRST_SQUARE * apart
    points = np.broadcast_to(centre, (POINTS, 2))
    for _ in range(LOOKS):
        before = points
        points = centre + (_seen(_square(picture, centre, side, axes), net) - 0.5) * side @ axes.T
        upright = points @ axes
        low, high = upright.min(axis=0), upright.max(axis=0)
        centre, side = axes @ ((low + high) / 2), MARGIN * float((high - low).max())
        right, left = (points[part].mean(axis=0) for part in EYE_POINTS)
        axes = _axes(left - right)
    return points, float(np.abs(points - before).mean())


def _axes(across: np.ndarray) -> np.ndarray:
    """To the right and down for a face whose eyes lie along `across`, as columns."""
    x, y = across / max(float(np.hypot(*across)), 1e-6)
    return np.array([[x, -y], [y, x]])


def _square(picture: np.ndarray, centre: np.ndarray, side: float, axes: np.ndarray) -> np.ndarray:
    """[H, W, 3] uint8 -> the turned square on [112, 112, 3] uint8; black beyond the picture."""
    import cv2

    fine = SIDE * min(max(int(side / SIDE), 1), MOST_FINE)
    to_square = axes.T * (fine / max(side, 1e-6))
    # the centres of pixels lie at a half in the square, and at whole numbers where points are in pixels
    shift = fine / 2 - 0.5 - to_square @ centre
    matrix = np.concatenate([to_square, shift[:, None]], axis=1)
    square = cv2.warpAffine(picture, matrix, (fine, fine), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def _seen(square: np.ndarray, net: FaceLandmarks) -> np.ndarray:
    """[112, 112, 3] uint8 -> [68, 2], parts of the square."""
    weight = next(net.parameters())
    with torch.no_grad():
        points = net(from_uint8(square[None], weight.device).to(weight.dtype))
    check_finite("the face of a pose", points)
    return points[0].float().cpu().double().numpy()
