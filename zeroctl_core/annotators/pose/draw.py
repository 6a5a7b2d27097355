"""Draw key points as the OpenPose ControlNets were trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..pictures.opencv import check_opencv
from ..pictures.pixels import from_uint8
from ..pictures.resolution import check_size
from .canvases import on_one_canvas
from .keypoints import read_keypoints
from .person import Frame

# fmt: off
LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13),
    (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)
"""Which two of the 18 body points a limb joins, in the order of drawing."""

COLORS = tuple(bytes.fromhex(
    "FF0000 FF5500 FFAA00 FFFF00 AAFF00 55FF00 00FF00 00FF55 00FFAA 00FFFF 00AAFF 0055FF 0000FF 5500FF AA00FF FF00FF"
    "FF00AA FF0055"
)[start:start + 3] for start in range(0, 54, 3))
"""RGB of the 18 points; the limbs take the first 17."""

FINGER_BONES = tuple((0 if end % 4 == 1 else end - 1, end) for end in range(1, 21))
"""Five fingers of four bones, all from the wrist, point 0."""

FINGER_COLORS = tuple(bytes.fromhex(
    "FF0000 FF4D00 FF9900 FFE500 CCFF00 80FF00 33FF00 00FF19 00FF66 00FFB3 00FFFF 00B2FF 0066FF 0019FF 3300FF 8000FF"
    "CC00FF FF00E6 FF0099 FF004D"
)[start:start + 3] for start in range(0, 60, 3))
"""RGB of the 20 bones: the hues i/20 at full saturation, rounded as OpenCV rounds them in the released code."""
# fmt: on

HALF_WIDTH, DOT, FINGER_WIDTH, FACE_DOT = 4, 4, 2, 3  # pixels: of a limb, radius, thickness, radius
FINGER_DOT_COLOR, FACE_DOT_COLOR = (0, 0, 255), (255, 255, 255)
FARTHEST = 2**20
"""Pixels from the corner beyond which a point counts as not found: OpenCV's coordinates are whole 32-bit numbers."""

Point = tuple[float, float]


def draw_pose(
    frames: Sequence[Frame | Mapping[str, Any]] | Mapping[str, Any],
    height: int,
    width: int,
    limb_gain: float = 0.6,
    stick_scale: float | Literal["auto_xinsir"] = 1,
    hands: bool = False,
    face: bool = False,
    body: bool = True,
    threshold: float = 0.3,
) -> Tensor:
    """Skeletons on black, one picture a frame; key points are scaled to the size before they are drawn.

    frames, or POSE_KEYPOINT of any dialect  ->  [B, 3, height, width] float32 in 0..1; no frames -> one black picture

    Frames of several canvases keep their proportions: each is fitted into the first canvas with anybody on it, and that
    is scaled to the size. Parts that are not drawn are not refused, whatever they hold.

    `limb_gain`: brightness of the limbs; the joints over them are always full. `stick_scale`: factor on the width of
    limbs and joints; the xinsir SDXL ControlNets saw `auto_xinsir`, all others 1. `hands`, `face`: the ControlNets 1.0
    never saw them, the 1.1 did. `threshold`: points that score below are left out, and those of score 0 always.

    Source: the released annotator/openpose of ControlNet 1.1, pixel for pixel. That draws limb by limb and within a
    limb person by person, all bodies before all hands before all faces; comfyui_controlnet_aux draws one person
    after the other, which differs where two overlap. `auto_xinsir`: the model card of controlnet-openpose-sdxl-1.0.
    Raises `ValueError` for key points that `read_keypoints` refuses, and for a size, factor or threshold
    out of its range.
    """
    scale = _stick_scale(stick_scale, height, width)
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold is {threshold!r}; expected a score from 0 to 1")
    if not 0 <= limb_gain <= 1:
        raise ValueError(f"limb_gain is {limb_gain!r}; expected 0 to 1 (default 0.6)")
    check_opencv("drawing poses")
    poses = on_one_canvas(read_keypoints(frames, drawn_parts(body, hands, face)))
    canvases = np.zeros((max(1, len(poses)), height, width, 3), np.uint8)
    for number, frame in enumerate(poses):
        canvas = canvases[number]
        people = [[_points(part, frame, height, width, threshold) for part in person.parts] for person in frame.people]
        if body:
            _draw_bodies(canvas, [parts[0] for parts in people], limb_gain, scale)
        if hands:
            for hand in (hand for parts in people for hand in parts[1:3]):
                _draw_hand(canvas, hand)
        if face:
            for points in (parts[3] for parts in people):
                _draw_dots(canvas, points, FACE_DOT, FACE_DOT_COLOR)
    return from_uint8(canvases, torch.device("cpu"))


def drawn_parts(body: bool, hands: bool, face: bool) -> tuple[str, ...]:
    """The parts of a person that these switches draw."""
    return ("body",) * body + ("left_hand", "right_hand") * hands + ("face",) * face


def _stick_scale(stick_scale: float | str, height: int, width: int) -> float:
    if height < 1 or width < 1:
        raise ValueError(f"the size of a drawn pose is {height} x {width} pixels (height x width); expected 1 or more")
    check_size(height, width)
    if stick_scale == "auto_xinsir":
        longer = max(height, width)
        return 1 if longer < 500 else min(2 + longer // 1000, 7)
    if isinstance(stick_scale, str) or not 0 < stick_scale <= 64:
        raise ValueError(f"stick_scale is {stick_scale!r}; expected 'auto_xinsir' or a factor up to 64")
    return stick_scale


def _points(part: np.ndarray, frame: Frame, height: int, width: int, threshold: float) -> list[Point | None]:
    """The points of a part in pixels of the drawing, None for those that are not to be drawn."""
    # multiplied first: whole pixels that land on whole pixels must not fall short of them
    points = part[:, :2] * (width, height) / (frame.width, frame.height)
    score = part[:, 2]
    # NaN compares false with everything
    visible = (score > 0) & (score >= threshold) & (np.abs(points) < FARTHEST).all(axis=1)
    return [(float(x), float(y)) if is_visible else None for (x, y), is_visible in zip(points, visible, strict=True)]


def _draw_bodies(canvas: np.ndarray, bodies: list[list[Point | None]], limb_gain: float, scale: float) -> None:
    import cv2

    for (start, end), color in zip(LIMBS, COLORS[: len(LIMBS)], strict=True):
        dimmed = tuple(int(level * limb_gain) for level in color)
        for points in bodies:
            a, b = points[start], points[end]
            if a is not None and b is not None:
                cv2.fillConvexPoly(canvas, _limb(a, b, max(1, int(HALF_WIDTH * scale))), dimmed)
    for joint, color in enumerate(COLORS):
        for points in bodies:
            point = points[joint]
            if point is not None:
                cv2.circle(canvas, _pixel(point), max(1, int(DOT * scale)), tuple(color), thickness=-1)


def _limb(a: Point, b: Point, half_width: int) -> Any:
    """The outline of an ellipse from joint to joint, a corner per degree; centre, length and angle are truncated."""
    import cv2

    centre = _pixel(((a[0] + b[0]) / 2, (a[1] + b[1]) / 2))
    along, down = a[0] - b[0], a[1] - b[1]
    half_length = int(math.sqrt(along * along + down * down) / 2)
    return cv2.ellipse2Poly(
        centre, (half_length, half_width), int(math.degrees(math.atan2(down, along))), arcStart=0, arcEnd=360, delta=1
    )


def _draw_hand(canvas: np.ndarray, points: list[Point | None]) -> None:
    import cv2

    for (start, end), color in zip(FINGER_BONES, FINGER_COLORS, strict=True):
        a, b = points[start], points[end]
        if a is not None and b is not None and _is_inside(a) and _is_inside(b):
            cv2.line(canvas, _pixel(a), _pixel(b), tuple(color), thickness=FINGER_WIDTH)
    _draw_dots(canvas, points, DOT, FINGER_DOT_COLOR)


def _draw_dots(canvas: np.ndarray, points: list[Point | None], radius: int, color: tuple[int, int, int]) -> None:
    import cv2

    for point in points:
        if point is not None and _is_inside(point):
            cv2.circle(canvas, _pixel(point), radius, color, thickness=-1)


def _is_inside(point: Point) -> bool:
    """Of hands and faces the released code takes whatever lies on the first row or column for not found."""
    return min(_pixel(point)) >= 1


def _pixel(point: Point) -> tuple[int, int]:
    """Truncated towards 0, not rounded, as in the released code."""
    return int(point[0]), int(point[1])
