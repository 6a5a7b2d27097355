"""Residuals are scaled, added and masked map by map, and never in place."""

from __future__ import annotations

import pytest
import torch

from zeroctl_core import ConnectionWeights, Residuals


def residuals(batch: int = 2, seed: int = 0) -> Residuals:
    """Three maps: 8x8, 4x4 and the middle at 4x4."""
    random = torch.Generator().manual_seed(seed)
    maps = [torch.randn(batch, channels, side, side, generator=random) for channels, side in ((3, 8), (5, 4), (5, 4))]
    return Residuals.of(maps)


def test_maps_iterate_with_the_middle_last():
    r = residuals()
    assert len(r) == 3 and r.batch == 2
    assert list(r)[-1] is r.middle and tuple(list(r)[:-1]) == r.skips


def test_scaled_multiplies_each_map_by_its_weight():
    r = residuals()
    before = [m.clone() for m in r]
    scaled = r.scaled([0.0, 2.0, -1.0])
    for result, original, weight in zip(scaled, before, (0.0, 2.0, -1.0), strict=True):
        assert torch.equal(result, original * weight)
    assert all(torch.equal(m, b) for m, b in zip(r, before, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(r.scaled(ConnectionWeights.uniform(3)), r, strict=True))


def test_scaled_refuses_another_number_of_weights():
    with pytest.raises(ValueError, match="expected 3 weights, .*; got 2"):
        residuals().scaled([1.0, 1.0])


def test_scaled_keeps_the_dtype():
    assert {m.dtype for m in residuals().to(dtype=torch.bfloat16).scaled([0.5, 0.5, 0.5])} == {torch.bfloat16}


def test_an_overflow_times_0_is_0():
    """Infinity times 0 would be NaN, on the whole map, where a mask is 0 and on a row of weight 0."""
    r = Residuals.of([torch.full_like(residual, torch.inf) for residual in residuals()])
    assert not any(residual.any() for residual in r.scaled([0.0] * 3))
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :4] = 1.0
    for residual in r.masked(mask):
        half = residual.shape[-1] // 2
        assert torch.isinf(residual[..., :half]).all() and not residual[..., half:].any()
    for residual in r.scaled([torch.tensor([0.0, 0.5]).reshape(2, 1, 1, 1)] * 3):
        assert not residual[0].any() and torch.isinf(residual[1]).all()


@pytest.mark.parametrize("rows", [slice(1, 3), torch.tensor([0, 3])])
def test_residuals_of_some_rows_are_0_on_the_others(rows):
    r = residuals(2)
    for padded, residual in zip(r.on_rows(rows, 4), r, strict=True):
        assert padded.shape == (4, *residual.shape[1:])
        assert torch.equal(padded[rows], residual) and padded.count_nonzero() == residual.count_nonzero()
    assert r.on_rows(slice(0, 2), 2) is r


def test_two_halves_make_a_whole():
    r = residuals()
    half = r.scaled([0.5] * 3)
    for result, expected in zip(half + half, r, strict=True):
        assert torch.equal(result, expected)


def test_addition_refuses_what_does_not_match():
    with pytest.raises(ValueError, match="at 3 connections cannot be added to those at 2"):
        residuals() + Residuals((torch.zeros(2, 3, 8, 8),), torch.zeros(2, 5, 4, 4))
    with pytest.raises(ValueError, match=r"connection 0 have the shapes \(2, 3, 8, 8\) and \(1, 3, 8, 8\)"):
        residuals(2) + residuals(1)
    with pytest.raises(TypeError):
        residuals() + 1


def test_a_mask_is_brought_to_each_map_by_area():
    r = residuals()
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :3] = 1.0
    masked = r.masked(mask)
    assert torch.equal(masked.skips[0], r.skips[0] * mask)
    columns = torch.tensor([1.0, 0.5, 0.0, 0.0])
    assert torch.equal(masked.skips[1], r.skips[1] * columns)
    assert torch.equal(masked.middle, r.middle * columns)


def test_a_mask_can_be_smaller_than_a_map_and_of_another_shape():
    r = residuals()
    mask = torch.tensor([[0.0, 1.0]]).reshape(1, 1, 1, 2)
    masked = r.masked(mask)
    for result, original in zip(masked, r, strict=True):
        half = original.shape[-1] // 2
        assert torch.equal(result[..., :half], torch.zeros_like(result[..., :half]))
        assert torch.equal(result[..., half:], original[..., half:])


def test_each_row_has_its_own_mask():
    r = residuals()
    mask = torch.stack([torch.zeros(1, 16, 16), torch.ones(1, 16, 16)])
    for result, original in zip(r.masked(mask), r, strict=True):
        assert not result[0].any()
        assert torch.equal(result[1], original[1])


@pytest.mark.parametrize("shape", [(8, 8), (2, 3, 8, 8), (3, 1, 8, 8)])
def test_a_mask_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"expected \[1 or 2, 1, H, W\]"):
        residuals().masked(torch.ones(shape))


def test_to_changes_the_dtype_of_every_map():
    assert {m.dtype for m in residuals().to(dtype=torch.float16)} == {torch.float16}
    r = residuals()
    assert all(a is b for a, b in zip(r.to("cpu"), r, strict=True))
