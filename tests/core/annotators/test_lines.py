"""Straight lines by LSD and by the Hough transform; M-LSD is in test_mlsd.py."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor

from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.annotators.lines import hough_segments, longest, lsd_segments

lines = ANNOTATORS["lines"]
PHOTOS = {
    "rocket": data.rocket(),  # 427 x 640
    "coffee": data.coffee(),  # 400 x 600
    "camera": np.repeat(data.camera()[..., None], 3, axis=2),
    "cat": data.chelsea(),  # 300 x 451
}
METHODS = ("lsd", "hough")


def as_image(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(picture.copy()).movedim(-1, 0)[None].float() / 255


def as_pixels(image: Tensor) -> np.ndarray:
    """The one plane of a line map, uint8; fails when the three differ."""
    assert torch.equal(image[:, 0], image[:, 1]) and torch.equal(image[:, 0], image[:, 2])
    return image[0, 0].mul(255).to(torch.uint8).numpy()


def frame(height: int = 200, width: int = 300) -> Tensor:
    """A bright rectangle on a dark ground, its corners at x 60, 239 and y 50, 149."""
    image = torch.full((1, 3, height, width), 0.2)
    image[..., 50:150, 60:240] = 0.8
    return image


def plain_lsd(picture: np.ndarray, shortest: float, most: int, thickness: int = 1) -> np.ndarray:
    """LSD, straight from OpenCV."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    table = cv2.createLineSegmentDetector(0).detect(grey)[0].reshape(-1, 4)
    table = np.rint(table).astype(int)
    lengths = [np.hypot(x1 - x0, y1 - y0) for x0, y0, x1, y1 in table]
    canvas = np.zeros_like(grey)
    for place in sorted(range(len(table)), key=lambda i: -lengths[i])[:most]:
        if lengths[place] >= shortest:
            x0, y0, x1, y1 = table[place].tolist()
            cv2.line(canvas, (x0, y0), (x1, y1), 255, thickness, cv2.LINE_8)
    return canvas


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize(("min_length", "max_lines", "thickness"), [(0.04, 200, 1), (0.0, 2000, 1), (0.1, 20, 3)])
def test_lsd_is_opencv_on_photographs(name, min_length, max_lines, thickness):
    picture = PHOTOS[name]
    expected = plain_lsd(picture, min_length * min(picture.shape[:2]), max_lines, thickness)
    condition = lines(as_image(picture), min_length=min_length, max_lines=max_lines, thickness=thickness)
    assert np.array_equal(as_pixels(condition), expected)
    assert expected.max() == 255


def test_defaults_are_lsd_200_lines_of_a_25th():
    expected = plain_lsd(PHOTOS["rocket"], 0.04 * 427, 200)
    assert np.array_equal(as_pixels(lines(as_image(PHOTOS["rocket"]))), expected)


@pytest.mark.parametrize("method", METHODS)
def test_finds_the_four_sides_of_a_frame(method):
    """Nothing further than two pixels from a side, and most of every side."""
    condition = as_pixels(lines(frame(), method=method))
    sides = np.zeros_like(condition)
    cv2.rectangle(sides, (60, 50), (239, 149), 255)
    near = cv2.dilate(sides, np.ones((5, 5), np.uint8))
    assert condition[near == 0].max() == 0
    covered = cv2.dilate(condition, np.ones((5, 5), np.uint8))[sides > 0]
    assert (covered > 0).mean() > 0.9


@pytest.mark.parametrize("name", PHOTOS)
def test_hough_lines_lie_on_canny_edges(name):
    edges = cv2.Canny(PHOTOS[name], 100, 200)
    condition = as_pixels(lines(as_image(PHOTOS[name]), method="hough", max_lines=2000))
    off = cv2.dilate(edges, np.ones((3, 3), np.uint8))[condition > 0] == 0
    assert condition.max() == 255 and off.mean() < 0.05


def test_hough_keeps_a_diagonal_that_is_long_enough():
    """OpenCV measures a line by the larger of width and height; a diagonal of 60 pixels is 43 wide."""
    picture = np.zeros((200, 200, 3), np.uint8)
    cv2.line(picture, (70, 70), (113, 113), (255, 255, 255), 3)
    table = longest(hough_segments(picture, 52.0), 52.0, 9)
    assert len(table) > 0 and (np.abs(table[:, 2] - table[:, 0]) < 50).all()


@pytest.mark.parametrize("method", METHODS)
def test_min_length_drops_and_max_lines_limits(method):
    image = as_image(PHOTOS["rocket"])
    whole = lines(image, method=method, min_length=0.0, max_lines=2000)
    assert 0 < lines(image, method=method, min_length=0.3).sum() < whole.sum()
    assert 0 < lines(image, method=method, max_lines=3).sum() < whole.sum()
    assert lines(image, method=method, min_length=1.0).max() == 0


def test_longest_sorts_limits_and_keeps_the_shortest_allowed():
    segments = np.array([[0, 0, 3, 4], [0, 0, 6, 8], [1, 1, 1, 1], [0, 0, 0, 5]])
    assert longest(segments, 5, 9).tolist() == [[0, 0, 6, 8], [0, 0, 3, 4], [0, 0, 0, 5]]
    assert longest(segments, 5, 2).tolist() == [[0, 0, 6, 8], [0, 0, 3, 4]]
    assert longest(segments, 11, 9).shape == (0, 4)


@pytest.mark.parametrize("detect", [lsd_segments, hough_segments])
def test_segments_of_a_flat_picture_are_an_empty_table(detect):
    assert detect(np.full((40, 50, 3), 9, np.uint8), 2.0).shape == (0, 4)


@pytest.mark.parametrize("method", METHODS)
def test_is_white_on_black_and_nothing_between(method):
    assert lines(as_image(PHOTOS["coffee"]), method=method).unique().tolist() == [0, 1]


@pytest.mark.parametrize("method", METHODS)
def test_a_flat_image_has_no_lines(method):
    assert lines(torch.full((2, 3, 33, 17), 0.7), method=method).max() == 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 2), (3, 517), (333, 517)])
def test_keeps_any_size(method, size):
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    for min_length in (0.0, 0.04):
        condition = lines(image, method=method, min_length=min_length)
        assert condition.shape == image.shape and set(condition.unique().tolist()) <= {0, 1}


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_equals_its_items_and_nothing_is_changed(method):
    images = torch.cat([as_image(PHOTOS[name][:299, :450]) for name in ("rocket", "coffee", "cat")])
    before = images.clone()
    condition = lines(images, method=method)
    assert torch.equal(condition, torch.cat([lines(image[None], method=method) for image in images]))
    assert torch.equal(images, before) and torch.equal(condition, lines(images, method=method))


@pytest.mark.parametrize("method", METHODS)
def test_rounds_as_eight_bits_would(method):
    image = as_image(PHOTOS["cat"])
    noise = 0.4 / 255 * torch.rand(image.shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(lines(image + noise, method=method), lines(image, method=method))


def test_only_mlsd_takes_a_net():
    net = torch.nn.Conv2d(1, 1, 1)
    for method in METHODS:
        with pytest.raises(ValueError, match="takes no net"):
            lines(frame(), method=method, net=net)
    with pytest.raises(ValueError, match="needs net, the network 'mlsd'"):
        lines(frame(), method="mlsd")
