"""Masks: turned round, softened at the edge, and refused when they are none."""

from __future__ import annotations

import pytest
import torch

from zeroctl_core.canvas.mask import check_mask, prepare_mask


def left_half(side: int = 64) -> torch.Tensor:
    mask = torch.zeros(1, 1, side, side)
    mask[..., : side // 2] = 1.0
    return mask


def test_without_feather_the_mask_is_a_copy_of_itself():
    mask = left_half()
    out = prepare_mask(mask)
    assert torch.equal(out, mask)
    assert out.data_ptr() != mask.data_ptr()


def test_invert_exchanges_0_and_1():
    assert torch.equal(prepare_mask(left_half(), invert=True), 1.0 - left_half())


def test_feather_fades_within_its_distance_to_either_side():
    row = prepare_mask(left_half(), feather=8)[0, 0, 32]
    assert torch.all(row[1:] <= row[:-1] + 1e-6), "an edge falls without ripples"
    assert row[31].item() + row[32].item() == pytest.approx(1.0, abs=1e-5), "the edge stays where it was"
    assert row[:24].min() > 0.97 and row[40:].max() < 0.03
    assert 0.6 < row[29].item() < 0.9


def test_feather_keeps_the_border_of_the_canvas():
    """Beyond the border the mask goes on: a mask of ones stays a mask of ones."""
    for value in (0.0, 0.25, 1.0):
        whole = torch.full((1, 1, 32, 48), value)
        assert torch.allclose(prepare_mask(whole, feather=20), whole, atol=1e-6)
    assert prepare_mask(left_half(), feather=8)[0, 0, :, 0].min() > 0.999


def test_feather_may_be_wider_than_the_mask():
    out = prepare_mask(left_half(16), feather=200.0)
    assert out.shape == (1, 1, 16, 16)
    assert out.min() >= 0.0 and out.max() <= 1.0


def test_feather_and_invert_commute():
    a = prepare_mask(left_half(), feather=6, invert=True)
    assert torch.allclose(a, 1.0 - prepare_mask(left_half(), feather=6), atol=1e-6)


def test_a_batch_equals_its_items():
    random = torch.Generator().manual_seed(0)
    masks = torch.rand(3, 1, 24, 40, generator=random)
    together = prepare_mask(masks, feather=5)
    for n in range(3):
        assert torch.allclose(together[n : n + 1], prepare_mask(masks[n : n + 1], feather=5), atol=1e-6)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.zeros(1, 8, 8), r"the shape \(1, 8, 8\); expected \[n, 1, H, W\]"),
        (torch.zeros(1, 3, 8, 8), r"the shape \(1, 3, 8, 8\)"),
        (torch.zeros(0, 1, 8, 8), r"with at least one mask"),
        (torch.full((1, 1, 8, 8), 1.5), r"values from 1.5 to 1.5; expected 0"),
        (torch.full((1, 1, 8, 8), -0.5), r"values from -0.5 to -0.5"),
        (torch.full((1, 1, 8, 8), float("nan")), r"values from nan to nan"),
    ],
)
def test_what_is_no_mask_is_refused(mask, message):
    with pytest.raises(ValueError, match=message):
        check_mask(mask)
    with pytest.raises(ValueError, match=message):
        prepare_mask(mask)


@pytest.mark.parametrize("feather", [-1.0, float("inf"), float("nan")])
def test_a_feather_that_is_no_distance_is_refused(feather):
    with pytest.raises(ValueError, match=r"feather is .* pixels; expected 0 or more"):
        prepare_mask(left_half(), feather=feather)
