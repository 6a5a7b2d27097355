"""Tile: the picture itself, or without its detail; in its place and at its size in any case."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from skimage import data

from zeroctl_core.annotators import ANNOTATORS

tile = ANNOTATORS["tile"]
ASTRONAUT = data.astronaut()

# annotator/shuffle of CN1.1, DownSampleDetector(level=n, k=0), run with OpenCV 5.0.0 on the astronaut: pixels 32::128
DOWN_SAMPLE = {
    1: [
        [[24, 11, 53], [204, 197, 191], [202, 195, 192], [153, 137, 97]],
        [[112, 11, 26], [0, 0, 0], [215, 207, 207], [0, 0, 0]],
        [[97, 8, 26], [218, 99, 60], [177, 62, 19], [7, 2, 1]],
        [[146, 37, 25], [168, 135, 193], [160, 69, 41], [0, 0, 0]],
    ],
    2: [
        [[29, 17, 54], [203, 196, 190], [201, 193, 189], [141, 120, 77]],
        [[110, 12, 24], [9, 7, 8], [216, 208, 207], [8, 7, 5]],
        [[98, 9, 25], [213, 92, 56], [160, 51, 14], [9, 4, 2]],
        [[164, 56, 36], [152, 102, 162], [152, 74, 49], [1, 1, 0]],
    ],
    3: [
        [[34, 23, 53], [201, 194, 188], [191, 181, 174], [123, 98, 52]],
        [[113, 25, 35], [39, 36, 38], [217, 208, 207], [31, 27, 23]],
        [[110, 17, 29], [213, 92, 56], [140, 45, 15], [16, 12, 9]],
        [[186, 77, 50], [153, 90, 132], [130, 60, 39], [5, 5, 4]],
    ],
}


def as_image(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture)).movedim(-1, 0)[None].float() / 255


def as_pixels(image: torch.Tensor) -> np.ndarray:
    return image[0].mul(255).round().to(torch.uint8).movedim(0, -1).numpy()


def test_resize_hands_the_picture_on_at_eight_bits():
    image = as_image(ASTRONAUT)
    assert torch.equal(tile(image), image)
    assert torch.equal(tile(image + 0.4 / 255), tile(image, downscale=2.0))
    assert torch.equal(tile(image * 1.1), tile((image * 1.1).clamp(0, 1)))


@pytest.mark.parametrize("halvings", [1, 2, 3])
def test_pyramid_equals_the_released_one_without_noise(halvings):
    pixels = as_pixels(tile(as_image(ASTRONAUT), mode="pyramid", downscale=2.0**halvings))
    # that one computes in float and truncates once
    assert np.abs(pixels[32::128, 32::128].astype(int) - DOWN_SAMPLE[halvings]).max() <= 2


@pytest.mark.parametrize(
    ("nearest", "scales"),
    [(1.0, (1.3, 1.45)), (2.0, (1.5, 2.7, 2.9)), (4.0, (3.0, 5.5, 5.7, 5.9)), (8.0, (6.0, 7.1))],
)
def test_pyramid_takes_the_nearest_of_its_steps_and_halfway_the_larger(nearest, scales):
    image = as_image(ASTRONAUT[:100, :120])
    expected = tile(image, mode="pyramid", downscale=nearest)
    for scale in scales:
        assert torch.equal(tile(image, mode="pyramid", downscale=scale), expected)
    for other in {1.0, 2.0, 4.0, 8.0} - {nearest}:
        assert not torch.equal(tile(image, mode="pyramid", downscale=other), expected)


@pytest.mark.parametrize("downscale", [1.0, 1.5, 8.0])
def test_area_is_a_mean_enlarged_linearly(downscale):
    small = cv2.resize(ASTRONAUT, (int(512 / downscale),) * 2, interpolation=cv2.INTER_AREA)
    expected = cv2.resize(small, (512, 512), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(as_pixels(tile(as_image(ASTRONAUT), mode="area", downscale=downscale)), expected)


@pytest.mark.parametrize("mode", ["pyramid", "area"])
def test_detail_goes_and_more_so_with_more(mode):
    image = as_image(ASTRONAUT)
    lost = [(tile(image, mode=mode, downscale=scale) - image).abs().mean().item() for scale in (1.0, 2.0, 4.0, 8.0)]
    assert lost[0] == 0 and lost == sorted(lost) and lost[-1] > 0.03
    assert tile(image, mode=mode).mean().item() == pytest.approx(image.mean().item(), abs=0.01)


@pytest.mark.parametrize("mode", ["resize", "pyramid", "area"])
@pytest.mark.parametrize("size", [(128, 128), (133, 157)])
def test_nothing_is_displaced(mode, size):
    """A pyramid that is only doubled, after an area reduction, moves the picture by 3.5 pixels to the upper left."""
    image = torch.zeros(1, 3, *size)
    image[..., 48:64, 64:80] = 1
    picture = tile(image, mode=mode)[0, 0].double()
    rows, columns = picture.sum(1), picture.sum(0)
    assert (rows @ torch.arange(size[0]).double() / rows.sum()).item() == pytest.approx(55.5, abs=0.5)
    assert (columns @ torch.arange(size[1]).double() / columns.sum()).item() == pytest.approx(71.5, abs=0.5)


@pytest.mark.parametrize("mode", ["resize", "pyramid", "area"])
@pytest.mark.parametrize("downscale", [1.0, 3.3, 8.0])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 517), (333, 517)])
def test_takes_any_size(mode, downscale, size):
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    before = image.clone()
    picture = tile(image, mode=mode, downscale=downscale)
    assert picture.shape == image.shape and torch.equal(image, before)
    assert torch.equal(picture[1:], tile(image[1:], mode=mode, downscale=downscale))


@pytest.mark.parametrize("mode", ["resize", "pyramid", "area"])
def test_a_flat_picture_stays_as_it_is(mode):
    image = torch.full((1, 3, 37, 53), 77 / 255)
    assert torch.equal(tile(image, mode=mode), image)
