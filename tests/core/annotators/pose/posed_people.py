"""People whose key points were written by hand, in the forms of POSE_KEYPOINT."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from zeroctl_core.annotators.pictures.pixels import to_uint8

# a standing person in OpenPose's order, in 0..1, and a second one who overlaps it
P = np.array(
    [
        [0.5, 0.15], [0.5, 0.28], [0.4, 0.28], [0.33, 0.42], [0.3, 0.55], [0.6, 0.28], [0.67, 0.42], [0.7, 0.55],
        [0.44, 0.55], [0.43, 0.75], [0.42, 0.92], [0.56, 0.55], [0.57, 0.75], [0.58, 0.92], [0.48, 0.13], [0.52, 0.13],
        [0.46, 0.14], [0.54, 0.14],
    ]
)  # fmt: skip
Q = P * [0.8, 0.9] + [0.22, 0.05]
HAND = np.array(
    [[0.5, 0.9]] + [[0.5 + (f - 2) * 0.07 * (1 + 0.4 * j), 0.75 - 0.1 * j] for f in range(5) for j in range(4)]
)
TURN = np.linspace(0, 2 * np.pi, 70, endpoint=False)
FACE = np.stack([0.5 + 0.3 * np.cos(TURN), 0.4 + 0.25 * np.sin(TURN)], axis=1)


def flat(points: np.ndarray, scale: tuple[float, float] = (1, 1), score: float = 1.0) -> list[float]:
    scaled = points * scale
    return np.concatenate([scaled, np.full((len(points), 1), score)], axis=1).ravel().tolist()


def frame(*people: dict[str, Any], height: int = 512, width: int = 512) -> dict[str, Any]:
    return {"people": list(people), "canvas_height": height, "canvas_width": width}


def bodies(*people: np.ndarray) -> list[dict[str, Any]]:
    return [frame(*({"pose_keypoints_2d": flat(points)} for points in people))]


def pixels(picture: torch.Tensor) -> np.ndarray:
    return to_uint8(picture)[0]


def whole(scale: tuple[float, float] = (1, 1), missing: list[float] | None = None) -> dict[str, Any]:
    return {
        "pose_keypoints_2d": flat(P, scale),
        "hand_left_keypoints_2d": flat(HAND * 0.2 + [0.6, 0.45], scale),
        "hand_right_keypoints_2d": missing,
        "face_keypoints_2d": flat(FACE * 0.2 + [0.4, 0.05], scale),
    }
