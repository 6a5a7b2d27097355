"""Lines of one pixel stay lines of one pixel when an edge map is resized."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def opened(mask: Tensor) -> Tensor:
    """[H, W] bool: what a 3x3 square fits into; lines thinner than three pixels are gone. The border neither eats nor
    grows."""
    return _grown(~_grown(~mask))


def _grown(mask: Tensor) -> Tensor:
    """[H, W] bool: what is on, and its eight neighbours. Twenty times as fast as max_pool2d, which wants floats."""
    across = mask.clone()
    across[:, 1:] |= mask[:, :-1]
    across[:, :-1] |= mask[:, 1:]
    result = across.clone()
    result[1:] |= across[:-1]
    result[:-1] |= across[1:]
    return result


def crests(grey: Tensor) -> Tensor:
    """[H, W] >= 0 -> [H, W]: a pixel stays where it is the largest of three in a row, column or diagonal, else 0."""
    padded = F.pad(grey, (1, 1, 1, 1))
    height, width = grey.shape
    on_crest = torch.zeros_like(grey, dtype=torch.bool)
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        before = padded[1 - dy : 1 - dy + height, 1 - dx : 1 - dx + width]
        after = padded[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        on_crest |= (grey >= before) & (grey >= after)
    return grey * on_crest


def otsu(grey: Tensor) -> Tensor:
    """[H, W] uint8 -> [H, W] bool: above the threshold that best splits the histogram in two (Otsu 1979)."""
    # 256 numbers in float64, which not every device has
    share = torch.bincount(grey.flatten().long(), minlength=256).cpu().double() / grey.numel()
    levels = torch.arange(256, dtype=torch.float64)
    dark = share.cumsum(0)
    dark_sum = (share * levels).cumsum(0)
    between = (dark_sum[-1] * dark - dark_sum) ** 2 / (dark * (1 - dark))
    return grey > int(between.nan_to_num(0, 0, 0).argmax())


# Neighbours that must be off and on for the middle pixel to go, as (dy, dx); turned four times by 90 degrees.
# Golay's alphabet "L" for a square grid, as in Gonzalez and Woods, Digital Image Processing, "Thinning".
_EDGE_OFF, _EDGE_ON = ((-1, -1), (-1, 0), (-1, 1)), ((1, -1), (1, 0), (1, 1))
_CORNER_OFF, _CORNER_ON = ((-1, 0), (-1, 1), (0, 1)), ((0, -1), (1, 0))


def _turned(cells: tuple[tuple[int, int], ...], times: int) -> tuple[tuple[int, int], ...]:
    for _ in range(times):
        cells = tuple((dx, -dy) for dy, dx in cells)
    return cells


_THINNING = tuple(
    (_turned(off, times), _turned(on, times))
    for times in range(4)
    for off, on in ((_EDGE_OFF, _EDGE_ON), (_CORNER_OFF, _CORNER_ON))
)


def thin(mask: Tensor) -> Tensor:
    """[H, W] bool -> [H, W] bool: lines of any width become lines of one pixel; what is connected stays connected.

    Computed on the CPU. A pixel is looked at again only where a neighbour went in this round or the last one: nothing
    else can have changed, so the time grows with the pixels and not with the width of what is thinned, too.
    """
    padded = F.pad(mask.cpu(), (1, 1, 1, 1))
    row, cells = padded.shape[1], padded.flatten()
    rules = tuple((_distances(off, row), _distances(on, row)) for off, on in _THINNING)
    around = _distances(_AROUND, row)
    # a pixel goes only where a neighbour is off
    candidates = _with_a_neighbour_off(padded).flatten().nonzero()[:, 0]
    while candidates.numel():
        neighbours = []
        for off, on in rules:
            fits = cells[candidates[:, None] + on].all(1) & ~cells[candidates[:, None] + off].any(1)
            goes = candidates[fits & cells[candidates]]
            if goes.numel():
                cells[goes] = False
                near = (goes[:, None] + around).flatten()
                neighbours.append(near)
                candidates = torch.unique(torch.cat([candidates, near[cells[near]]]))
        near = torch.cat(neighbours) if neighbours else candidates[:0]
        candidates = torch.unique(near[cells[near]])
    return padded[1:-1, 1:-1].clone().to(mask.device)


_AROUND = tuple((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx)


def _distances(places: tuple[tuple[int, int], ...], row: int) -> Tensor:
    """How far (dy, dx) lie apart in a plane whose rows have so many cells, written row by row."""
    return torch.tensor([dy * row + dx for dy, dx in places])


def _with_a_neighbour_off(padded: Tensor) -> Tensor:
    """[H + 2, W + 2] bool, off at the border -> the same: what is on beside something that is off."""
    inside = padded.clone()
    for dim in (0, 1):
        shifted = inside.clone()
        for n in (-1, 1):
            shifted &= inside.roll(n, dim)
        inside = shifted
    return padded & ~inside
