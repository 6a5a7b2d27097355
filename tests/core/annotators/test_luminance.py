"""Luminance is LAB lightness or HSV value of RGB; a switch gives what the peers make of it."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pytest
import torch
from skimage import color, data

from zeroctl_core.annotators import ANNOTATORS

luminance = ANNOTATORS["luminance"]

# sha1 of `recolor_luminance` and `recolor_intensity` of comfyui_controlnet_aux (same on OpenCV 4.10 and 5.0)
AUX = {
    ("astronaut", "L", 1.0): "600396da91c10349",
    ("astronaut", "L", 0.5): "8fa5f32923516795",
    ("astronaut", "V", 1.0): "0b10070cc2cb1a93",
    ("astronaut", "V", 0.5): "0123385a27ce2819",
    ("coffee", "L", 1.0): "aba1cb81c73cb79b",
    ("coffee", "L", 0.5): "f5ba9d465b23867c",
    ("coffee", "V", 1.0): "7da4b33b7beba7f8",
    ("coffee", "V", 0.5): "01571bb37fad6224",
}


def as_image(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.copy()).movedim(-1, 0)[None].float() / 255


def as_pixels(image: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(image[0].movedim(0, -1).mul(255).round().to(torch.uint8).numpy())


@pytest.mark.parametrize(("name", "mode", "gamma"), AUX)
def test_peer_compat_equals_the_peer(name, mode, gamma):
    picture = getattr(data, name)()
    pixels = as_pixels(luminance(as_image(picture), mode=mode, gamma=gamma, peer_compat=True))
    levels = cv2.cvtColor(picture, cv2.COLOR_BGR2LAB)[..., 0] if mode == "L" else picture.max(-1)
    expected = (255 * (levels / 255.0) ** gamma + 1e-4).astype(np.uint8)
    share = (pixels == expected[..., None]).all(-1).mean()
    assert hashlib.sha1(pixels.tobytes()).hexdigest()[:16] == AUX[name, mode, gamma] or share >= 0.999, share


@pytest.mark.parametrize(
    ("rgb", "ours", "peer"),
    [
        ((255, 0, 0), 136, 82),
        ((0, 255, 0), 224, 224),
        ((0, 0, 255), 82, 136),
        ((255, 255, 255), 255, 255),
        ((128, 128, 128), 137, 137),
        ((0, 0, 0), 0, 0),
    ],
)
def test_pure_colours(rgb, ours, peer):
    """Peers take red for blue."""
    image = as_image(np.array([[rgb]], dtype=np.uint8))
    assert as_pixels(luminance(image)).ravel().tolist() == [ours] * 3
    assert as_pixels(luminance(image, peer_compat=True)).ravel().tolist() == [peer] * 3
    assert as_pixels(luminance(image, mode="V")).ravel().tolist() == [max(rgb)] * 3


def test_default_is_the_lightness_of_cie_lab():
    picture = data.astronaut()
    pixels = as_pixels(luminance(as_image(picture)))[..., 0]
    # OpenCV computes it from a table
    assert np.abs(pixels - color.rgb2lab(picture)[..., 0] * 2.55).max() <= 1.5


def test_gamma_rounds_and_keeps_black_and_white():
    levels = torch.arange(256).float().div(255).reshape(1, 1, 16, 16).repeat(1, 3, 1, 1)
    for gamma in (0.1, 0.5, 1.0, 2.0):
        expected = np.round(255 * (np.arange(256) / 255) ** gamma)
        levels_out = as_pixels(luminance(levels, mode="V", gamma=gamma))[..., 0].ravel()
        assert np.array_equal(levels_out, expected) and levels_out[0] == 0 and levels_out[-1] == 255


def test_channels_are_equal_at_odd_sizes():
    result = luminance(torch.rand(2, 3, 333, 517, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(result[:, :1].expand_as(result), result)
