"""Inpaint leaves a hole: -1 for the SD inpaint ControlNet, black for xinsir's, or grey."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pytest
import torch
from skimage import data

from zeroctl_core.annotators import ANNOTATORS

inpaint = ANNOTATORS["inpaint"]
FILLS = {"minus_one": -1.0, "black": 0.0, "gray": 0.5}

# sha1 of the hole that gradio_inpaint.py of ControlNet 1.1 makes of `a_mask`, by its mask blur (same on OpenCV 4.10
# and 5.0)
CN11 = {0.5: "9d00a9ae618106ac", 5.0: "c79890e39f2b319c", 7.0: "7b11d6a9e40e280e"}


@pytest.fixture(scope="module")
def cat() -> torch.Tensor:
    return torch.from_numpy(data.chelsea()).movedim(-1, 0)[None].float() / 255  # 300 x 451


def a_mask() -> np.ndarray:
    """[300, 451] float32: a disc, a speck of 4 pixels, a ramp."""
    y, x = np.mgrid[:300, :451]
    mask = ((x - 200) ** 2 + (y - 150) ** 2 < 80**2).astype(np.float32)
    mask[10:14, 10:14] = 1
    mask[200:, 20:60] = np.linspace(0, 1, 100, dtype=np.float32)[:, None]
    return mask


def as_mask(plane: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(plane)[None, None]


@pytest.mark.parametrize("fill", FILLS)
def test_fills_the_hole_and_nothing_else(cat, fill):
    """As aux does with -1 and 0: the picture is not rounded, the result not clamped."""
    image = cat * 0.999
    expected = image.clone()
    expected.movedim(1, -1)[0, torch.from_numpy(a_mask() > 0.5)] = FILLS[fill]
    result = inpaint(image, mask=as_mask(a_mask()), fill=fill)
    assert torch.equal(result, expected) and result.is_contiguous() and result.dtype == torch.float32


def test_default_is_minus_one(cat):
    mask = as_mask(a_mask())
    result = inpaint(cat, mask=mask)
    assert torch.equal(result, inpaint(cat, mask=mask, fill="minus_one", mask_blur=0.0)) and result.min() == -1


@pytest.mark.parametrize("sigma", CN11)
def test_a_blurred_mask_is_that_of_the_released_demo(cat, sigma):
    hole = (inpaint(cat, mask=as_mask(a_mask()), mask_blur=sigma) == -1).all(1)[0].numpy()
    share = (hole == (cv2.GaussianBlur(a_mask(), (0, 0), sigma) > 0.5)).mean()
    assert hashlib.sha1(hole.tobytes()).hexdigest()[:16] == CN11[sigma] or share >= 0.999, share
    assert hole[150, 200] and not hole[0, 0]


def test_blur_drops_specks(cat):
    mask = as_mask(a_mask())
    assert inpaint(cat, mask=mask)[0, 0, 11, 11] == -1
    assert inpaint(cat, mask=mask, mask_blur=5.0)[0, 0, 11, 11] >= 0


def test_one_half_is_no_hole_and_a_little_more_is():
    image = torch.full((1, 3, 1, 3), 0.25)
    result = inpaint(image, mask=torch.tensor([0.5, 0.500001, 0.0]).reshape(1, 1, 1, 3))
    assert result[0, 0, 0].tolist() == [0.25, -1, 0.25]


def test_each_picture_has_its_own_mask(cat):
    pair = torch.cat([cat, cat.flip(-1)])
    masks = torch.cat([as_mask(a_mask()), as_mask(1 - a_mask())])
    for blur in (0.0, 3.0):
        together = inpaint(pair, mask=masks, mask_blur=blur)
        alone = [inpaint(pair[i : i + 1], mask=masks[i : i + 1], mask_blur=blur) for i in range(2)]
        assert torch.equal(together, torch.cat(alone))


def test_inputs_stay_and_the_overshoot_of_a_filter_goes():
    image = torch.tensor([-0.2, 1.2, 0.5]).reshape(1, 1, 1, 3).repeat(1, 3, 1, 1)
    mask = torch.zeros(1, 1, 1, 3)
    before = image.clone(), mask.clone()
    assert inpaint(image, mask=mask, mask_blur=2.0)[0, 0, 0].tolist() == [0, 1, 0.5]
    assert torch.equal(image, before[0]) and torch.equal(mask, before[1])


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 517), (333, 517)])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.bool])
def test_takes_any_size_and_type(size, dtype):
    image = torch.full((2, 3, *size), 0.5, dtype=torch.float32 if dtype is torch.bool else dtype)
    result = inpaint(image, mask=torch.ones(2, 1, *size, dtype=dtype), mask_blur=4.0)
    assert result.dtype == torch.float32 and (result == -1).all()


def test_needs_a_mask_of_the_same_size(cat):
    with pytest.raises(ValueError, match="needs mask"):
        inpaint(cat)
    with pytest.raises(ValueError, match="one plane for each image"):
        inpaint(cat, mask=torch.zeros(1, 1, 8, 8))


def test_a_blur_that_eats_the_mask_is_told() -> None:
    picture, line = torch.rand(2, 3, 40, 40), torch.zeros(2, 1, 40, 40)
    line[:, :, 20] = 1.0
    line[1, :, 10:30] = 1.0
    inpaint = ANNOTATORS["inpaint"]
    blurred = inpaint(picture, mask=line, mask_blur=5.0)
    assert "1 of 2 pictures have no hole: mask_blur 5 leaves nothing" in inpaint.doubts(picture, blurred, mask_blur=5.0)
    assert inpaint.doubts(picture[1:], blurred[1:], mask_blur=5.0) == ""
    assert inpaint.doubts(picture, inpaint(picture, mask=line), mask_blur=0.0) == ""
