"""Where in a heatmap its point lies, to a fraction of a pixel."""

from __future__ import annotations

import numpy as np

SIGMA, RADIUS = 0.8, 5
"""Of the Gaussian that smooths a map before its peak is refined, in pixels of the map."""

LOWEST, HIGHEST = 0.001, 50.0
"""Values are brought into this range before the logarithm."""


def points_from_heatmaps(heatmaps: np.ndarray) -> np.ndarray:
    """[N, K, h, w] -> [N, K, 3] float64: x and y in pixels of the map, 0 the centre of the first one, and a score.

    The score is the highest value. Where it is not above 0 nothing was found and all three are 0.

    Source: DARK (Zhang et al. 2020, "Distribution-Aware Coordinate Representation for Human Pose Estimation") in the
    form of UDP (Huang et al. 2020, "The Devil is in the Details"): the logarithm of a Gaussian is a parabola, so one
    Newton step on the logarithm of the smoothed map leads from the highest pixel to the top. The numbers are those of
    transformers' VitPoseImageProcessor.post_process_pose_estimation.
    """
    count, kinds, height, width = heatmaps.shape
    maps = heatmaps.astype(np.float64).reshape(count * kinds, height, width)
    number = np.arange(len(maps))
    highest = maps.reshape(len(maps), -1).argmax(axis=1)
    y, x = np.divmod(highest, width)
    score = maps[number, y, x]
    smooth = _blur(height) @ maps @ _blur(width).T
    logs = np.log(np.clip(smooth, LOWEST, HIGHEST))
    padded = np.pad(logs, ((0, 0), (1, 1), (1, 1)), mode="edge")

    def at(right: int, down: int) -> np.ndarray:
        return padded[number, y + 1 + down, x + 1 + right]

    here = at(0, 0)
    slope_x, slope_y = (at(1, 0) - at(-1, 0)) / 2, (at(0, 1) - at(0, -1)) / 2
    bend_x, bend_y = at(1, 0) - 2 * here + at(-1, 0), at(0, 1) - 2 * here + at(0, -1)
    twist = (at(1, 1) - at(1, 0) - at(0, 1) + 2 * here - at(-1, 0) - at(0, -1) + at(-1, -1)) / 2
    # a little more than 0, so that a flat map does not divide by it
    bend_x, bend_y = bend_x + np.finfo(np.float32).eps, bend_y + np.finfo(np.float32).eps
    with np.errstate(divide="ignore", invalid="ignore"):
        determinant = bend_x * bend_y - twist * twist
        step_x = (bend_y * slope_x - twist * slope_y) / determinant
        step_y = (bend_x * slope_y - twist * slope_x) / determinant
    refined = np.stack([x - step_x, y - step_y], axis=-1)
    refined = np.where(np.isfinite(refined).all(axis=-1, keepdims=True), refined, np.stack([x, y], axis=-1))
    points = np.concatenate([refined, score[:, None]], axis=-1)
    points[~(score > 0)] = 0
    return points.reshape(count, kinds, 3)


def _blur(length: int) -> np.ndarray:
    """The matrix that smooths a line of so many pixels, mirrored beyond its ends: [length, length]."""
    offsets = np.arange(-RADIUS, RADIUS + 1)
    taps = np.exp(-0.5 * (offsets / SIGMA) ** 2)
    source = np.pad(np.arange(length), RADIUS, mode="symmetric")
    matrix = np.zeros((length, length))
    for row in range(length):
        np.add.at(matrix[row], source[row : row + len(taps)], taps / taps.sum())
    return matrix
