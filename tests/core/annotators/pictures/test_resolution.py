"""The resolution rule: the short side decides, the proportions stay."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest
import torch
from skimage import data

from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.annotators.pictures.resolution import at_resolution, hint_size, mask_at, size_at_resolution


@pytest.mark.parametrize(
    ("height", "width", "resolution", "expected"),
    [
        (400, 600, 512, (512, 768)),
        (600, 400, 512, (768, 512)),
        (333, 517, 512, (512, 795)),  # not 832 x 512: no rounding to 64
        (1080, 1920, 0, (1080, 1920)),
        (512, 512, 512, (512, 512)),
        (2000, 1000, 64, (128, 64)),
    ],
)
def test_short_side_becomes_the_resolution(height, width, resolution, expected):
    assert size_at_resolution(height, width, resolution) == expected


@pytest.mark.parametrize("resolution", [-1, 1, 63, 16385])
def test_refuses_a_resolution_out_of_range(resolution):
    with pytest.raises(ValueError, match=f"resolution is {resolution}; .*64 to 16384"):
        size_at_resolution(512, 512, resolution)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("crop", 576), ("stretch", 576), ("fit", 512)],  # a 720 x 1280 frame on a 576 x 910 canvas: k = .8, .711
)
def test_hint_size_is_pixel_perfect(mode, expected):
    assert hint_size(720, 1280, 576, 910, mode) == expected


def test_hint_size_annotates_at_the_canvas_size():
    """What it promises: at that resolution the canvas needs no other size."""
    assert size_at_resolution(400, 600, hint_size(400, 600, 768, 1152)) == (768, 1152)


@pytest.mark.parametrize("resolution", [256, 640])
def test_resizing_is_area_down_and_lanczos_up(resolution):
    picture = data.coffee()
    image = torch.from_numpy(picture.copy()).movedim(-1, 0)[None].float() / 255
    size = size_at_resolution(400, 600, resolution)
    filter_ = cv2.INTER_AREA if resolution < 400 else cv2.INTER_LANCZOS4
    expected = cv2.resize(picture, size[::-1], interpolation=filter_)
    resized = at_resolution(image, resolution)
    assert np.array_equal(resized[0].movedim(0, -1).mul(255).round().to(torch.uint8).numpy(), expected)
    edges = ANNOTATORS["canny"](resized)[0, 0].mul(255).to(torch.uint8).numpy()
    assert np.array_equal(edges, cv2.Canny(expected, 100, 200))


@pytest.mark.parametrize("resolution", [0, 400])
def test_nothing_to_do_hands_the_image_on(resolution):
    image = torch.rand(2, 3, 400, 600)
    assert at_resolution(image, resolution) is image


def test_a_batch_equals_its_items():
    image = torch.rand(3, 3, 90, 131, generator=torch.Generator().manual_seed(1))
    together = at_resolution(image, 64)
    assert torch.equal(together, torch.cat([at_resolution(row[None], 64) for row in image]))


def test_a_resolution_that_no_annotator_takes_is_refused():
    with pytest.raises(ValueError, match="needs a resolution of 32; annotators take 64 to 16384"):
        hint_size(100, 100, 32, 32)
    with pytest.raises(ValueError, match="expected at least 1 a side"):
        hint_size(0, 100, 512, 512)


def test_depth_keeps_its_floats_and_pictures_have_8_bits():
    ramp = torch.linspace(0.4, 0.41, 96).expand(1, 3, 96, 96)
    floats, levels = at_resolution(ramp, 192, in_floats=True), at_resolution(ramp, 192)
    assert floats.shape == levels.shape == (1, 3, 192, 192)
    assert len(floats.unique()) > 100 and len(levels.unique()) <= 4
    assert float((floats - levels).abs().max()) <= 1 / 255  # rounded before and after
    assert 0 <= float(floats.min()) and float(floats.max()) <= 1


def test_a_mask_is_interpolated_and_serves_a_batch():
    mask = torch.zeros(1, 2, 2)
    mask[:, :, 1] = 1
    planes = mask_at(mask, torch.zeros(3, 3, 8, 8))
    assert planes.shape == (3, 1, 8, 8) and bool((planes[0, 0, 0].diff() >= 0).all())
    assert 0 < float(planes[0, 0, 0, 3]) < 0.5 < float(planes[0, 0, 0, 4]) < 1
    with pytest.raises(ValueError, match="2 masks for 3 images"):
        mask_at(torch.zeros(2, 8, 8), torch.zeros(3, 3, 8, 8))


@pytest.mark.parametrize(
    ("height", "width", "resolution", "message"),
    [
        (30000, 30000, 0, r"30000 x 30000 .* a resolution up to 8192 fits"),
        (10**6, 10**6, 0, "a resolution up to 8192 fits"),
        (4, 4000, 512, r"512 x 512000 .*crop the picture"),
        (400, 40000, 512, "a resolution up to 163 fits"),
        (512, 512, 16384, "a resolution up to 8192 fits"),
        (2**31 - 1, 1, 0, "crop the picture"),
    ],
)
def test_a_size_that_no_memory_holds_is_refused_with_one_that_fits(height, width, resolution, message):
    with pytest.raises(ValueError, match=message):
        size_at_resolution(height, width, resolution)
    if fitting := re.search(r"up to (\d+) fits", message):
        size_at_resolution(height, width, int(fitting[1]))


def test_strips_are_refused_before_they_are_resized():
    with pytest.raises(ValueError, match="512 x 512000"):
        at_resolution(torch.zeros(1, 3, 4, 4000), 512)
    assert at_resolution(torch.zeros(1, 3, 1, 17000), 0).shape == (1, 3, 1, 17000)


@pytest.mark.parametrize("at", range(0, 24, 5))
def test_no_line_of_a_mask_falls_through_when_it_shrinks(at):
    mask = torch.zeros(1, 256, 256)
    mask[:, 100 + at : 105 + at] = 1
    planes = mask_at(mask, torch.zeros(1, 3, 32, 32))
    assert float(planes.sum(dim=2).mean()) == pytest.approx(5 / 8)
