"""OpenCV's Canny in bands, so that one on a huge picture can be stopped; the edges are those of one call."""

from __future__ import annotations

import numpy as np

from .bands import bands
from .pause import pause

QUICK = 1 << 24
"""Pixels that take up to 0.8 seconds on one thread; of a smaller picture the edges are one call."""
ROWS = 1 << 22
"""Pixels of a band."""
REACH = 4
"""Rows beside a band that its gradients and the thinning of its edges see, and more."""


def canny_edges(picture: np.ndarray, low: int, high: int) -> np.ndarray:
    """[H, W, 3] uint8 -> [H, W] uint8, 0 or 255: bit for bit `cv2.Canny(picture, low, high)`, aperture 3, L1.

    Which faint edges a strong one carries on depends on no band: they are found by their connection in the whole
    picture. A large picture calls `pause` between its bands: 8192x8192 pixels take 2.8 s on one thread in place of
    1.6, of which at most 0.6 cannot be interrupted.
    """
    import cv2

    pause()
    height, width = picture.shape[:2]
    if height * width <= QUICK:
        return cv2.Canny(picture, low, high, apertureSize=3, L2gradient=False)
    low, high = min(low, high), max(low, high)
    faint, strong = np.empty((height, width), np.uint8), np.empty((height, width), np.uint8)
    parts = bands(height, ROWS // width)
    for band in parts:
        top = max(band.start - REACH, 0)
        part, rows = picture[top : band.stop + REACH], slice(band.start - top, band.stop - top)
        for edges, threshold in ((faint, low), (strong, high)):
            pause()
            edges[band] = cv2.Canny(part, threshold, threshold, apertureSize=3, L2gradient=False)[rows]
    count, numbers = cv2.connectedComponents(faint, connectivity=8, ltype=cv2.CV_32S)
    has_strong = np.zeros(count, bool)
    for band in parts:
        pause()
        has_strong[numbers[band][strong[band] > 0]] = True
    for band in parts:
        pause()
        faint[band] *= has_strong[numbers[band]]
    return faint
