"""Shuffle: the released geometry for the released random numbers, the same for each row of a batch."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from skimage import data

from zeroctl_core.annotators import ANNOTATORS

shuffle = ANNOTATORS["shuffle"]
ASTRONAUT = data.astronaut()

# CN1.1, ContentShuffleDetector after numpy.random.seed(seed), run with OpenCV 5.0.0 on the picture whose red is the
# column and whose green is the row, [160, 250]: the pixels ::40, ::50, so where each takes its colour from
PLACES = {
    (0, 256): (
        [[0, 48, 99, 151, 202], [8, 44, 82, 121, 159], [17, 40, 64, 89, 114], [25, 36, 46, 58, 69]],
        [[0, 19, 40, 62, 83], [3, 25, 48, 72, 95], [7, 30, 56, 82, 107], [10, 36, 64, 92, 120]],
    ),
    (7, 64): (
        [[121, 195, 114, 93, 168], [161, 149, 54, 25, 87], [203, 204, 107, 20, 12], [225, 235, 166, 74, 30]],
        [[100, 159, 99, 73, 112], [23, 96, 138, 150, 128], [1, 70, 106, 117, 103], [41, 85, 58, 53, 77]],
    ),
}

# the same on the astronaut: the sums of the three channels at the pixels 32::64
COLORS = {
    (0, 256): [
        [20, 16, 16, 119, 400, 408, 347, 357],
        [597, 0, 0, 639, 397, 363, 385, 27],
        [180, 37, 703, 236, 267, 621, 0, 349],
        [152, 185, 538, 265, 620, 506, 608, 670],
        [369, 395, 454, 370, 317, 632, 595, 615],
        [128, 441, 219, 139, 559, 509, 431, 606],
        [0, 306, 375, 308, 107, 202, 190, 625],
        [639, 404, 635, 392, 350, 619, 442, 6],
    ],
    (1234, 64): [
        [267, 654, 762, 203, 615, 659, 285, 0],
        [0, 430, 220, 414, 599, 617, 0, 422],
        [20, 0, 560, 564, 565, 395, 525, 501],
        [223, 398, 419, 609, 639, 436, 143, 39],
        [379, 616, 88, 125, 762, 762, 58, 0],
        [353, 635, 338, 305, 440, 599, 527, 292],
        [637, 378, 242, 567, 13, 214, 152, 395],
        [633, 5, 349, 608, 523, 615, 756, 638],
    ],
}


def as_image(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture)).movedim(-1, 0)[None].float() / 255


def places(height: int, width: int) -> torch.Tensor:
    """Red says the column, green the row, in 1000ths."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([columns, rows, torch.zeros_like(rows)])[None].float() / 1000


@pytest.mark.parametrize(("seed", "f"), PLACES)
def test_pixels_come_from_where_the_released_code_takes_them(seed, f):
    result = shuffle(places(160, 250), seed=seed, f=f)[0, :2, ::40, ::50] * 1000
    assert (result - torch.tensor(PLACES[seed, f])).abs().max() <= 0.6


@pytest.mark.parametrize(("seed", "f"), COLORS)
def test_colors_are_those_of_the_released_code(seed, f):
    result = shuffle(as_image(ASTRONAUT), seed=seed, f=f)[0, :, 32::64, 32::64].sum(0) * 255
    assert (result - torch.tensor(COLORS[seed, f])).abs().max() <= 3


@pytest.mark.parametrize(("height", "width", "f"), [(512, 512, 256), (333, 517, 256), (100, 70, 32), (40, 50, 1024)])
def test_equals_opencv_step_by_step(height, width, f):
    """The released formula with OpenCV's own filters; OpenCV 4 moves along 32nds of a pixel only."""
    random = np.random.RandomState(42)
    flow = []
    for side in (width, height):
        noise = random.uniform(size=(height // f + 2, width // f + 2))
        noise = cv2.resize(noise, (width + 2 * f, height + 2 * f), interpolation=cv2.INTER_CUBIC)
        noise = noise[f : f + height, f : f + width]
        flow.append((noise - noise.min()) / (noise.max() - noise.min()) * (side - 1))
    result = shuffle(places(height, width), seed=42, f=f)[0] * 1000
    for channel, expected in enumerate(flow):
        assert np.abs(result[channel].numpy() - expected).max() < 0.01
    picture = np.ascontiguousarray(np.tile(ASTRONAUT, (1, 2, 1))[:height, :width])
    bent = cv2.remap(picture, np.stack(flow, axis=-1).astype(np.float32), None, cv2.INTER_LINEAR)
    difference = np.abs(shuffle(as_image(picture), seed=42, f=f)[0].movedim(0, -1).numpy() * 255 - bent)
    assert difference.mean() < 0.4 and (difference <= 4).mean() > 0.999


def test_a_row_does_not_depend_on_its_place():
    pictures = torch.cat([as_image(picture[:200, :300]) for picture in (ASTRONAUT, data.coffee(), data.rocket())])
    together = shuffle(pictures, seed=5)
    for row in range(3):
        assert torch.equal(together[row], shuffle(pictures[row : row + 1], seed=5)[0])
    assert torch.equal(shuffle(pictures.flip(0), seed=5), together.flip(0))


def test_zero_is_a_seed_and_seeds_differ():
    image = as_image(ASTRONAUT)
    assert torch.equal(shuffle(image), shuffle(image, seed=0))
    results = [shuffle(image, seed=seed) for seed in (0, 1, 2**31 - 1, 2**32 - 1)]
    assert all(not torch.equal(results[0], other) for other in results[1:])


def test_leaves_the_random_numbers_of_others_alone():
    np.random.seed(3)
    expected = np.random.uniform()
    np.random.seed(3)
    shuffle(as_image(ASTRONAUT[:50, :50]), seed=9)
    assert np.random.uniform() == expected


@pytest.mark.parametrize("f", [32, 256, 1024])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (3, 517), (333, 517)])
def test_takes_any_size_and_stays_in_range(f, size):
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0)) * 1.2 - 0.1
    before = image.clone()
    bent = shuffle(image, f=f)
    assert bent.shape == image.shape and torch.equal(image, before)
    assert 0 <= bent.min() and bent.max() <= 1


def test_a_flat_picture_stays_as_it_is():
    image = torch.full((1, 3, 33, 17), 0.7)
    assert torch.allclose(shuffle(image), image, rtol=0, atol=1e-6)
