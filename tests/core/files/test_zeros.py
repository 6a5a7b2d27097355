"""A lost piece is told from everything that training and pruning leave."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from zeroctl_core.files.zeros import lacks_a_piece


def _lost(weight: Tensor, first: int, number: int) -> Tensor:
    weight.view(-1)[first : first + number] = 0
    return weight


def _where(condition: Tensor, weight: Tensor) -> Tensor:
    return torch.where(condition, weight, torch.zeros_like(weight))


def _half(weight: Tensor) -> Tensor:
    """A slim network kept in the shape of a wide one: the first half of the channels on both sides."""
    weight[len(weight) // 2 :] = 0
    weight[:, weight.shape[1] // 2 :] = 0
    return weight


def _blocks(weight: Tensor) -> Tensor:
    """Blocks on the diagonal, some of which are gone."""
    size = len(weight) // 4
    result = torch.zeros_like(weight)
    for block in (0, 1, 3):
        part = slice(block * size, (block + 1) * size)
        result[part, part] = weight[part, part]
    return result


def _rows(weight: Tensor) -> Tensor:
    weight[200:700] = 0
    return weight


TRUE: dict[str, Callable[[Tensor], Tensor]] = {
    "trained": lambda w: w,
    "zero": torch.zeros_like,
    "rows": _rows,
    "columns": lambda w: _rows(w.T.contiguous()).T.contiguous(),
    "half": _half,
    "blocks": _blocks,
    "every second row": lambda w: _where((torch.arange(len(w)) % 2 == 0)[:, None], w),
    "nine in ten numbers": lambda w: _where(torch.rand_like(w) > 0.9, w),
    "nine in ten numbers, and rows": lambda w: _rows(_where(torch.rand_like(w) > 0.9, w)),
    "999 in 1000 numbers, and rows": lambda w: _rows(_where(torch.rand_like(w) > 0.999, w)),
    "two of four numbers": lambda w: _where((torch.arange(w.shape[1]) % 4 < 2)[None], w),
    "first row alone": lambda w: _lost(w, w.shape[1], w.numel()),
    "triangle": lambda w: _rows(w.tril()),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float8_e4m3fn], ids=str)
@pytest.mark.parametrize("name", TRUE)
def test_what_training_and_pruning_leave_is_whole(name, dtype):
    torch.manual_seed(1)
    assert not lacks_a_piece(TRUE[name](torch.randn(1280, 1280)).to(dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float8_e4m3fn], ids=str)
@pytest.mark.parametrize("shape", [(1280, 1280), (640, 320, 3, 3), (2560, 320), (1280, 5120)])
def test_a_lost_piece_is_seen_wherever_it_lies(shape, dtype):
    torch.manual_seed(2)
    row = torch.Size(shape[1:]).numel()
    number = (2 + (1 << 16) // dtype.itemsize // row) * row + row // 2
    for first in (2 * row + row // 2, 5 * row, 7 * row - 300, 300 * row + 10):
        weight = torch.randn(shape).add_(1).to(dtype)
        assert not lacks_a_piece(weight)
        if dtype.itemsize > 1:
            assert lacks_a_piece(_lost(weight, first, number)), first
        else:
            assert lacks_a_piece(_lost(weight.view(torch.uint8), first, number).view(dtype)), first


def test_a_lost_piece_that_reaches_into_the_next_weight_is_seen_in_either():
    one, other = torch.randn(1280, 320), torch.randn(320, 1280)
    assert lacks_a_piece(_lost(one, 1000 * 320 + 7, one.numel()))
    assert lacks_a_piece(_lost(other, 0, 90 * 1280 + 640))


def test_what_is_too_small_to_be_sure_is_left_alone():
    assert not lacks_a_piece(_lost(torch.randn(1280, 320), 10, 320 * 20))
    assert not lacks_a_piece(torch.zeros(100_000))
