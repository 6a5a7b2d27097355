"""Pictures, depth and masks at the size at which they are annotated."""

from __future__ import annotations

import pytest
import torch

from zeroctl_core.annotators.pictures.resolution import at_resolution, mask_at


def test_depth_keeps_its_floats_and_pictures_have_8_bits() -> None:
    ramp = torch.linspace(0.4, 0.41, 96).expand(1, 3, 96, 96)
    floats, levels = at_resolution(ramp, 192, in_floats=True), at_resolution(ramp, 192)
    assert floats.shape == levels.shape == (1, 3, 192, 192)
    assert len(floats.unique()) > 100 and len(levels.unique()) <= 4
    assert float((floats - levels).abs().max()) <= 1 / 255  # rounded before and after
    assert 0 <= float(floats.min()) and float(floats.max()) <= 1


def test_a_mask_is_interpolated_and_serves_a_batch() -> None:
    mask = torch.zeros(1, 2, 2)
    mask[:, :, 1] = 1
    placed = mask_at(mask, torch.zeros(3, 3, 8, 8))
    assert placed.shape == (3, 1, 8, 8) and bool((placed[0, 0, 0].diff() >= 0).all())
    assert 0 < float(placed[0, 0, 0, 3]) < 0.5 < float(placed[0, 0, 0, 4]) < 1
    with pytest.raises(ValueError, match="2 masks for 3 images"):
        mask_at(torch.zeros(2, 8, 8), torch.zeros(3, 3, 8, 8))
