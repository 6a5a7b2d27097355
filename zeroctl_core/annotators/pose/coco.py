"""From the 17 body points of COCO, which most pose networks find, to OpenPose's 18."""

from __future__ import annotations

import numpy as np

LEFT_SHOULDER, RIGHT_SHOULDER = 5, 6
NECK = 1
FROM_COCO = (0, LEFT_SHOULDER, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
"""Which of COCO's points is each of OpenPose's; the neck is none of them."""


def openpose_from_coco(points: np.ndarray, threshold: float = 0.3) -> np.ndarray:
    """The same people in OpenPose's order, with a neck between the shoulders.

    [..., 17, 3]  ->  [..., 18, 3] float64, x, y, score

    The neck is found only where both shoulders score above `threshold`, and has the lower of their scores.
    Raises `ValueError` for any other shape.
    """
    points = np.asarray(points, dtype=np.float64)
    if points.ndim < 2 or points.shape[-2:] != (17, 3):
        raise ValueError(f"COCO points have the shape {points.shape}; expected [..., 17, 3]: x, y, score")
    shoulders = points[..., [LEFT_SHOULDER, RIGHT_SHOULDER], :]
    neck = shoulders.mean(axis=-2)
    lower = shoulders[..., 2].min(axis=-1)
    neck[..., 2] = np.where(lower > threshold, lower, 0.0)
    mapped = points[..., list(FROM_COCO), :]
    mapped[..., NECK, :] = neck
    return mapped
