"""A map that is not in the palette is told; one that was resized or compressed is not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from skimage import data

from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.annotators.colors.palette import ADE20K

snap = ANNOTATORS["segment_snap"]


def picture(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels.astype(np.float32) / 255).movedim(-1, 0)[None]


def scene(colors: np.ndarray = ADE20K) -> np.ndarray:
    """[256, 256, 3] uint8: large things of eight classes."""
    ids = np.repeat(np.repeat(np.array([[2, 2, 4, 4], [12, 6, 4, 13], [12, 6, 9, 9], [3, 3, 20, 3]]), 64, 0), 64, 1)
    return colors[ids]


def by_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def golden_angle() -> np.ndarray:
    hues = (np.arange(150) * 137.508 % 360 / 2).astype(np.uint8)
    hsv = np.stack([hues, np.full(150, 160, np.uint8), np.full(150, 200, np.uint8)], axis=-1)
    return cv2.cvtColor(hsv[None], cv2.COLOR_HSV2RGB)[0]


OTHERS = {
    "photograph": data.coffee(),
    "golden angle": scene(golden_angle()),
    "BGR": scene()[..., ::-1],
    "linear light": ((scene() / 255) ** 2.2 * 255).round(),
    "grey": np.repeat(scene().mean(-1, keepdims=True), 3, -1),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_not_in_the_palette_is_told(kind):
    image = picture(OTHERS[kind])
    assert "far from all colours of the palette" in snap.doubts(image, snap(image))


@pytest.mark.parametrize("quality", [95, 75, 50])
def test_a_compressed_or_resized_map_is_not_doubted(quality):
    small = cv2.resize(scene(), (128, 128), interpolation=cv2.INTER_LINEAR)
    for pixels in (scene(), by_jpeg(scene(), quality), cv2.resize(small, (256, 256), interpolation=cv2.INTER_CUBIC)):
        assert not snap.doubts(picture(pixels), snap(picture(pixels)))


def test_the_worst_of_a_batch_is_named():
    both = torch.cat([picture(scene()), picture(OTHERS["BGR"])])
    assert "of picture 2 are far" in snap.doubts(both, snap(both))
