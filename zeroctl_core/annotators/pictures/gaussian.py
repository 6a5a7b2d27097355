"""OpenCV's Gaussian blur in bands, so that a long one can be stopped; the numbers are those of one call."""

from __future__ import annotations

import numpy as np

from .bands import bands
from .pause import pause

QUICK = 2_000_000_000
"""Products, pixels times taps, that take about a second on one thread; a shorter blur is one call."""
HALOS = 4
"""A band is at least so many times as high as what it sees above: half again as much is computed then."""


def gaussian_blur(picture: np.ndarray, sigma: float) -> np.ndarray:
    """[H, W] uint8 or float32, or [H, W, C] uint8 -> the same through a Gaussian of `sigma` pixels, edges mirrored.

    Bit for bit `cv2.GaussianBlur(picture, (0, 0), sigma)`: its kernel ends after 3 sigma for 8 bits and 4 for floats,
    and each band is blurred with so many rows above and below. A long blur calls `pause` between its bands.
    """
    import cv2

    pause()
    height = picture.shape[0]
    reach = int(np.ceil((3 if picture.dtype == np.uint8 else 4) * sigma)) + 1
    products = picture.size * 2 * (2 * reach + 1)
    if products <= QUICK:
        return cv2.GaussianBlur(picture, (0, 0), float(sigma))
    if picture.ndim == 3:
        return cv2.merge([gaussian_blur(plane, sigma) for plane in cv2.split(picture)])
    rows = max(height * QUICK // products, HALOS * reach)
    blurred = np.empty_like(picture)
    for band in bands(height, rows):
        pause()
        top = max(band.start - reach, 0)
        part = cv2.GaussianBlur(picture[top : band.stop + reach], (0, 0), float(sigma))
        blurred[band] = part[band.start - top : band.stop - top]
    return blurred
