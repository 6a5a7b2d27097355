"""From MoveNet's maps to people: their points and their boxes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .movenet_graph import HEADS, POINTS

PEOPLE = 6
"""The graph keeps so many centres; a picture with fewer people has centres of low scores among them."""

SAME = 1e-6
"""How far below the largest of its surroundings a centre may lie and still be it."""

FALLOFF = 0.300048828125
"""A point is looked for around the place that its centre names: weight 1 / e at the square root of this part of the
map's shorter side. .3 in float16."""

SURE = 0.126953125
"""Points above this score count for the score of their person. .127 in float16."""


def decode_people(maps: Tensor) -> tuple[Tensor, Tensor]:
    """The six likeliest people of each picture, by the score of their centre.

    [B, 90, h, w], channels as `MoveNetMultiPose` gives them  ->  points [B, 6, 17, 3]: x, y, score, in COCO's order,
    and boxes [B, 6, 5]: x0, y0, x1, y1, score; float32. x and y are parts of the width and of the height of what the
    network saw. Scores are 0 to 1; a person's is the mean over its sure points of theirs times that of its centre.

    A centre is the largest of its 5 x 5. Each point is the cell where its heat map is highest, weighted by how near it
    is to where the centre expects it, within the person's box; an offset moves it inside the cell.

    Source: the nodes after the heads of the graph that is published for TensorFlow.js.
    """
    maps = maps.float()
    height, width = maps.shape[2:]
    centre, box_scale, box_offset, heat, regress, offset = torch.split(maps, list(HEADS.values()), dim=1)
    scores, cells = _centres(centre.sigmoid())
    rows, columns = cells // width, cells % width
    at_centre = torch.stack((rows, columns), dim=1).float()  # [B, 2, 6], y first as in all maps

    extent = _at(box_scale, cells).clamp(min=0)
    middle = at_centre + _at(box_offset, cells)
    limits = maps.new_tensor((height, width))[:, None]
    low = torch.minimum(middle - extent / 2, limits).clamp(min=0)
    high = torch.minimum(middle + extent / 2, limits).clamp(min=0)

    expected = at_centre[:, None] + _at(regress, cells).reshape(-1, POINTS, 2, PEOPLE)  # [B, 17, 2, 6]
    best, point_scores = _points(heat.sigmoid(), expected, low, high)
    moved = offset.reshape(-1, POINTS, 2, height * width).gather(3, best[:, :, None].expand(-1, -1, 2, -1))
    y = (best // width + moved[:, :, 0]) / height
    x = (best % width + moved[:, :, 1]) / width

    sure = point_scores > SURE
    people = (scores[:, None] * point_scores * sure).sum(1) / sure.sum(1).clamp(min=1)
    points = torch.stack((x, y, point_scores), dim=-1).transpose(1, 2)
    edges = (low[:, 1] / width, low[:, 0] / height, high[:, 1] / width, high[:, 0] / height)
    return points, torch.stack((*(edge.clamp(0, 1) for edge in edges), people), dim=-1)


def _centres(centre: Tensor) -> tuple[Tensor, Tensor]:
    """Scores and cells, each [B, 6], of the highest peaks; of equal ones the first, as TensorFlow takes them."""
    peaks = centre * ((centre - F.max_pool2d(centre, 5, stride=1, padding=2)).abs() < SAME)
    scores, cells = peaks.flatten(1).sort(dim=1, descending=True, stable=True)
    return scores[:, :PEOPLE], cells[:, :PEOPLE]


def _at(maps: Tensor, cells: Tensor) -> Tensor:
    """[B, C, h, w] at [B, 6] -> [B, C, 6]."""
    return maps.flatten(2).gather(2, cells[:, None].expand(-1, maps.shape[1], -1))


def _points(heat: Tensor, expected: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Cell and score, each [B, 17, 6], of every point of every person.

    The score is the highest that any of the six gives to that cell, as in the graph.
    """
    height, width = heat.shape[2:]
    y = torch.arange(height, device=heat.device, dtype=heat.dtype)
    x = torch.arange(width, device=heat.device, dtype=heat.dtype)
    far = (y - expected[:, :, 0, :, None]).square()[..., None] + (x - expected[:, :, 1, :, None]).square()[..., None, :]
    nearness = (far / (-FALLOFF * min(height, width))).exp()  # [B, 17, 6, h, w]
    in_rows = (y >= low[:, 0, :, None]) & (y < high[:, 0, :, None])
    in_columns = (x >= low[:, 1, :, None]) & (x < high[:, 1, :, None])
    inside = in_rows[..., None] & in_columns[..., None, :]  # [B, 6, h, w]
    likely = heat[:, :, None] * nearness * inside[:, None]
    best = likely.flatten(3).argmax(3)
    return best, likely.amax(2).flatten(2).gather(2, best)
