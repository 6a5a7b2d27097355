"""The pictures that both sides are given: photographs, lines, a mask, depths."""

from __future__ import annotations

import cv2
import numpy as np
from skimage import data

from benchmarks.differences.levels import Levels


def photos() -> dict[str, Levels]:
    """Sides are multiples of 64, so that no peer resizes or pads."""
    return {
        "astronaut 512x512": data.astronaut(),
        "coffee 384x576": data.coffee()[:384, :576].copy(),
        "cat 256x448": data.chelsea()[:256, :448].copy(),
    }


def small_photos() -> dict[str, Levels]:
    return {
        "astronaut 256x256": cv2.resize(data.astronaut(), (256, 256), interpolation=cv2.INTER_AREA),
        "coffee 256x256": cv2.resize(data.coffee()[:400, 100:500], (256, 256), interpolation=cv2.INTER_AREA),
    }


def odd_photo(height: int, width: int) -> dict[str, Levels]:
    return {f"coffee {height}x{width}": data.coffee()[:height, :width].copy()}


def ink() -> dict[str, Levels]:
    """Black lines of 1 to 8 pixels on white."""
    paper = np.full((256, 256, 3), 255, np.uint8)
    for number in range(8):
        cv2.line(paper, (20, 20 + 28 * number), (236, 12 + 30 * number), (0, 0, 0), number + 1)
    return {"ink lines 256x256": paper}


def grey_mask() -> dict[str, Levels]:
    return {"camera 512x512, as a mask": np.repeat(data.camera()[..., None], 3, axis=2)}


def depths() -> dict[str, Levels]:
    """The photographs' blurred brightness in 0..255, not rounded: as good a depth as any."""
    return {
        f"brightness of {name}": cv2.GaussianBlur(
            cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 3.0
        )
        for name, picture in photos().items()
    }
