"""Blur is OpenCV's Gaussian on 8-bit RGB, as in sd-webui-controlnet."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pytest
import torch
from skimage import data

from zeroctl_core.annotators import ANNOTATORS

blur = ANNOTATORS["blur"]

# sha1 of `blur_gaussian` of sd-webui-controlnet (cv2.GaussianBlur(image, (0, 0), 9.0)), same on OpenCV 4.10 and 5.0
WEBUI = {"astronaut": "a6751c52ee56edbb", "coffee": "03a9517cecbea5e1", "chelsea": "811e8a7d675919b5"}


def as_image(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.copy()).movedim(-1, 0)[None].float() / 255


def as_pixels(image: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(image[0].movedim(0, -1).mul(255).round().to(torch.uint8).numpy())


@pytest.mark.parametrize("name", WEBUI)
def test_default_is_that_of_the_webui(name):
    picture = getattr(data, name)()
    pixels = as_pixels(blur(as_image(picture)))
    share = (pixels == cv2.GaussianBlur(picture, (0, 0), 9.0)).all(-1).mean()
    assert hashlib.sha1(pixels.tobytes()).hexdigest()[:16] == WEBUI[name] or share >= 0.999, share


@pytest.mark.parametrize("sigma", [0.5, 3.3, 64.0])
def test_is_a_gaussian_of_that_width(sigma):
    """Against a normal curve laid out by hand on one bright line."""
    image = torch.zeros(1, 3, 5, 601)
    image[..., 300] = 1
    x = np.arange(-300, 301)
    curve = np.exp(-0.5 * (x / sigma) ** 2)
    profile = as_pixels(blur(image, sigma=sigma))[2, :, 0].astype(float)
    assert np.abs(profile - 255 * curve / curve.sum()).max() <= 2


def test_a_tiny_sigma_changes_nothing_and_a_large_one_more_than_a_small():
    image = as_image(data.chelsea())
    assert torch.equal(blur(image, sigma=0.01), image) and torch.equal(blur(image, sigma=0.25), image)
    assert blur(image, sigma=30.0).std() < blur(image, sigma=3.0).std() < image.std()


def test_a_flat_picture_stays_flat_at_odd_and_tiny_sizes():
    for size in ((1, 1), (3, 517), (333, 517)):
        image = torch.full((2, 3, *size), 100 / 255)
        assert torch.equal(blur(image, sigma=64.0), image)
