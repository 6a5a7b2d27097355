"""Does a sample follow its condition? The annotator is applied again, and the two maps are compared."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..registry import Registry

SCORES: Registry[Callable[[Tensor, Tensor], Tensor]] = Registry("score of an annotator")
"""Name of an annotator -> function of its maps of the samples and the conditions, [B, 3, H, W] in 0..1 both, to the
score of every sample, [B], larger is better. An annotator without one has no score."""


def covered(lines: Tensor, others: Tensor, tolerance: int) -> Tensor:
    """The share of the pixels of lines that have one of the other map within `tolerance`, bool [B, H, W] -> [B]."""
    size = 2 * tolerance + 1
    near = F.max_pool2d(others.float()[:, None], size, stride=1, padding=tolerance)[:, 0] > 0.5
    return (lines & near).sum(dim=(1, 2)) / lines.sum(dim=(1, 2)).clamp(min=1)


def line_f1(lines: Tensor, expected: Tensor, tolerance: int) -> Tensor:
    """Harmonic mean of the shares of pixels that have one of the other map within `tolerance` pixels, bool [B, H, W]
    -> [B]."""
    precision, recall = covered(lines, expected, tolerance), covered(expected, lines, tolerance)
    return 2 * precision * recall / (precision + recall).clamp(min=1e-9)


def tolerance_of(height: int, width: int) -> int:
    """By how many pixels a line may be off: 1.5 % of the shorter side, at least one."""
    return max(1, round(0.015 * min(height, width)))


def _lines(maps: Tensor, conditions: Tensor) -> tuple[Tensor, Tensor, int]:
    return maps[:, 0] > 0.5, conditions[:, 0] > 0.5, tolerance_of(maps.shape[2], maps.shape[3])


@SCORES.register("canny")
@SCORES.register("lines")
@SCORES.register("lineart")
@SCORES.register("lineart_anime")
@SCORES.register("lineart_manga")
@SCORES.register("softedge")
@SCORES.register("teed")
def line_score(maps: Tensor, conditions: Tensor) -> Tensor:
    """`line_f1` of white lines on black."""
    return line_f1(*_lines(maps, conditions))


@SCORES.register("scribble")
def scribble_score(maps: Tensor, conditions: Tensor) -> Tensor:
    """The share of the drawn lines that is there again: a scribble omits, so more lines are not worse."""
    lines, expected, tolerance = _lines(maps, conditions)
    return covered(expected, lines, tolerance)


@SCORES.register("segment")
def class_score(maps: Tensor, conditions: Tensor) -> Tensor:
    """Mean intersection over union of the colours that are present in one of the maps; masks are such maps."""
    rows = []
    for one, other in zip(_class_numbers(maps), _class_numbers(conditions), strict=True):
        names = np.union1d(one.numpy(), other.numpy()).tolist()
        both = torch.stack([((one == name) & (other == name)).sum() for name in names])
        either = torch.stack([((one == name) | (other == name)).sum() for name in names])
        rows.append((both / either).mean())
    return torch.stack(rows)


def _class_numbers(maps: Tensor) -> Tensor:
    """[B, 3, H, W] in 0..1 -> a whole number for every colour, [B, H * W]."""
    levels = (maps * 255).round().long().flatten(2)
    return (levels[:, 0] * 256 + levels[:, 1]) * 256 + levels[:, 2]


@SCORES.register("depth")
def depth_score(maps: Tensor, conditions: Tensor) -> Tensor:
    """1 - the root of the mean square error after the least-squares scale and shift: depth is relative."""
    x, y = maps[:, 0].flatten(1), conditions[:, 0].flatten(1)
    away_x, away_y = x - x.mean(1, keepdim=True), y - y.mean(1, keepdim=True)
    scale = (away_x * away_y).sum(1) / away_x.square().sum(1).clamp(min=1e-9)
    return 1 - (away_y - scale.clamp(min=0)[:, None] * away_x).square().mean(1).sqrt()


@SCORES.register("normal")
def normal_score(maps: Tensor, conditions: Tensor) -> Tensor:
    """Mean cosine between the directions, over the pixels of the condition that have one."""
    ours, theirs = maps * 2 - 1, conditions * 2 - 1
    has_one = conditions.amax(dim=1) > 0.1
    cosine = F.cosine_similarity(ours, theirs, dim=1)
    return (cosine * has_one).sum(dim=(1, 2)) / has_one.sum(dim=(1, 2)).clamp(min=1)


@SCORES.register("color")
@SCORES.register("tile")
@SCORES.register("blur")
@SCORES.register("luminance")
def colour_score(maps: Tensor, conditions: Tensor) -> Tensor:
    """1 - the mean distance in CIE L*a*b* over 100, the distance from black to white."""
    return 1 - (lab(maps) - lab(conditions)).norm(dim=1).mean(dim=(1, 2)) / 100


def lab(image: Tensor) -> Tensor:
    """sRGB [B, 3, H, W] in 0..1 -> CIE L*a*b* (D65; IEC 61966-2-1 and CIE 15), L in 0..100."""
    linear = torch.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055).clamp(min=0) ** 2.4)
    matrix = torch.tensor(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    ).to(image)
    white = torch.tensor([0.95047, 1.0, 1.08883]).to(image)
    xyz = torch.einsum("ij,bjhw->bihw", matrix, linear) / white[:, None, None]
    f = torch.where(xyz > (6 / 29) ** 3, xyz.clamp(min=1e-9) ** (1 / 3), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = f.unbind(1)
    return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), dim=1)
