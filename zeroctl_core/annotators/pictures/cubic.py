"""Keys' cubic convolution, with the constant of OpenCV's INTER_CUBIC."""

from __future__ import annotations

import numpy as np

A = -0.75


def cubic_taps(places: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The four of `count` samples that make the value at each place, and their shares: [n] -> [n, 4], [n, 4].

    Places count in samples, 0 is the centre of the first; beyond the ends the outer samples go on.
    Source: Keys 1981, "Cubic convolution interpolation for digital image processing", Eq. 4, with a = -0.75.
    """
    samples = np.floor(places)[:, None] + np.arange(-1, 3)
    distance = np.abs(places[:, None] - samples)
    near = ((A + 2) * distance - (A + 3)) * distance**2 + 1
    far = A * (((distance - 5) * distance + 8) * distance - 4)
    return samples.clip(0, count - 1).astype(np.int64), np.where(distance <= 1, near, far)
