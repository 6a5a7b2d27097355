"""Canny is `cv2.Canny` on RGB, as the released ControlNets were trained on."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from skimage import data

from zeroctl_core.annotators import ANNOTATORS

PHOTOS = {
    "astronaut": data.astronaut(),
    "coffee": data.coffee(),  # 400 x 600
    "camera": np.repeat(data.camera()[..., None], 3, axis=2),
    "cat": data.chelsea(),  # 300 x 451
}
canny = ANNOTATORS["canny"]


def as_image(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.copy()).movedim(-1, 0)[None].float() / 255


def as_pixels(image: torch.Tensor) -> np.ndarray:
    """The one plane of an edge map, uint8; fails when the three differ."""
    assert torch.equal(image[:, 0], image[:, 1]) and torch.equal(image[:, 0], image[:, 2])
    return image[0, 0].mul(255).to(torch.uint8).numpy()


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize(("low", "high"), [(100, 200), (50, 50), (0, 255), (30, 90)])
def test_equals_opencv_on_photographs(name, low, high):
    expected = cv2.Canny(PHOTOS[name], low, high)
    assert 0 < expected.mean() < 128
    assert np.array_equal(as_pixels(canny(as_image(PHOTOS[name]), low=low, high=high)), expected)


def test_defaults_are_the_trained_ones():
    picture = PHOTOS["astronaut"]
    assert np.array_equal(as_pixels(canny(as_image(picture))), cv2.Canny(picture, 100, 200))


def test_is_neither_grey_nor_the_l2_gradient():
    picture = PHOTOS["coffee"]
    edges = as_pixels(canny(as_image(picture)))
    assert not np.array_equal(edges, cv2.Canny(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), 100, 200))
    assert not np.array_equal(edges, cv2.Canny(picture, 100, 200, L2gradient=True))


def test_blur_is_a_gaussian_before_the_edges():
    picture = PHOTOS["cat"]
    expected = cv2.Canny(cv2.GaussianBlur(picture, (0, 0), 1.5), 100, 200)
    assert np.array_equal(as_pixels(canny(as_image(picture), blur_sigma=1.5)), expected)
    assert (expected > 0).sum() < (cv2.Canny(picture, 100, 200) > 0).sum()


def test_is_white_on_black_and_nothing_between():
    assert canny(as_image(PHOTOS["coffee"])).unique().tolist() == [0, 1]


def test_rounds_as_eight_bits_would():
    """A decoded picture lies between the levels: it must not fall to the level below."""
    picture = PHOTOS["astronaut"]
    image = as_image(picture) + 0.4 / 255 * torch.rand(1, 3, 512, 512, generator=torch.Generator().manual_seed(0))
    assert np.array_equal(as_pixels(canny(image)), cv2.Canny(picture, 100, 200))


def test_low_above_high_is_the_same_pair():
    image = as_image(PHOTOS["cat"])
    assert torch.equal(canny(image, low=200, high=100), canny(image, low=100, high=200))


def test_a_flat_image_has_no_edges():
    assert canny(torch.full((2, 3, 33, 17), 0.7)).abs().max() == 0
