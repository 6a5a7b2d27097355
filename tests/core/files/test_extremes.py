"""Numbers looked at by their bits: the same as computing with them, for every kind of float."""

from __future__ import annotations

import pytest
import torch

from zeroctl_core.files.extremes import FIRST_NOT_FINITE, PART, extremes_of

INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32}
RARER = [getattr(torch, name) for name in ("float8_e4m3fnuz", "float8_e5m2fnuz") if hasattr(torch, name)]


@pytest.mark.parametrize("dtype", [*(dtype for dtype in FIRST_NOT_FINITE if dtype.itemsize < 4), *RARER], ids=str)
def test_every_number_of_a_small_float_is_finite_where_torch_says_so(dtype):
    """Of 16 bits those alone that decide: what is not finite, zeros, the neighbours of both, every bit by itself."""
    size = dtype.itemsize
    # rows are chosen by their bits, for torch 2.3 indexes no float of 8
    bits = torch.arange(1 << 8 * size, dtype=torch.int32).to(INTEGERS[size])
    values = bits.view(dtype).float()
    finite = values.isfinite()
    assert extremes_of(bits[finite].view(dtype)).finite
    limits = ~finite | (values == 0)
    decides = limits | limits.roll(1) | limits.roll(-1) | (size == 1)
    decides[1 << torch.arange(8 * size)] = True
    for number, value in zip(bits[decides][:, None], values[decides], strict=True):
        extremes = extremes_of(number.view(dtype))
        assert extremes.finite == bool(value.isfinite()) and extremes.zero == (value == 0), value
    assert extremes_of(values.nan_to_num(1, 1, 1).to(dtype)).finite


@pytest.mark.parametrize("dtype", FIRST_NOT_FINITE, ids=str)
@pytest.mark.parametrize("value", [float("nan"), -float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("place", [0, PART // 4 + 1, -1])
def test_one_number_that_is_not_finite_is_seen_wherever_it_is(dtype, value, place):
    if dtype == torch.float8_e4m3fn and abs(value) == float("inf"):
        pytest.skip("has no infinity")
    numbers = torch.randn(PART // 2 + 3).clamp(-3, 3).to(dtype)
    assert extremes_of(numbers).finite and not extremes_of(numbers).zero
    numbers[place] = torch.tensor(value).to(dtype)
    assert not extremes_of(numbers).finite


@pytest.mark.parametrize("dtype", FIRST_NOT_FINITE, ids=str)
def test_zeros_are_zeros_with_either_sign_and_the_largest_numbers_are_finite(dtype):
    zeros = torch.zeros(5)
    for numbers in (zeros, -zeros, torch.tensor([0.0, -0.0])):
        assert extremes_of(numbers.to(dtype)).zero and extremes_of(numbers.to(dtype)).finite
    most = torch.finfo(dtype).max
    for pair in ([most, -most], [-most, -most]):
        numbers = torch.tensor(pair, dtype=torch.float64)
        assert extremes_of(numbers.to(dtype)).finite and not extremes_of(numbers.to(dtype)).zero
    tiny = torch.tensor([torch.finfo(dtype).smallest_normal], dtype=torch.float64)
    assert not extremes_of(tiny.to(dtype)).zero and not extremes_of((-tiny).to(dtype)).zero


def test_a_tensor_with_gaps_is_looked_at_whole():
    numbers = torch.zeros(4, 6)[:, ::2]
    numbers[3, 2] = float("nan")
    assert not extremes_of(numbers).finite and not extremes_of(numbers.T).finite
