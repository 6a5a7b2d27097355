"""Scores: does a sample show what the condition says? All by closed formulas, from the sample's pixels alone."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..annotators.canny import canny
from ..train.score import line_f1
from .colours import COLOURS

BORDER = 3  # pixels along the edge of the picture that are background in every scene
DIFFERENT = 0.2  # Euclidean distance in RGB from which a pixel is not background
TOLERANCE = 2  # pixels by which an edge may be off


def background_colour(image: Tensor) -> Tensor:
    """The median colour of the picture's border: [B, 3, H, W] -> [B, 3]."""
    inner = torch.zeros(image.shape[-2:], dtype=torch.bool)
    inner[BORDER:-BORDER, BORDER:-BORDER] = True
    return image[:, :, ~inner].median(dim=2).values


def object_mask(image: Tensor) -> Tensor:
    """What differs from the background, closed over gaps of 2 pixels: [B, 3, H, W] -> bool [B, H, W].

    Ridges may take the brightness of a ground of a like colour for a pixel or two; closing gives these to the object.
    """
    away = (image.clamp(0, 1) - background_colour(image)[:, :, None, None]).square().sum(dim=1).sqrt()
    different = (away > DIFFERENT).float()[:, None]
    grown = F.max_pool2d(different, 3, stride=1, padding=1)
    return -F.max_pool2d(-grown, 3, stride=1, padding=1)[:, 0] > 0.5


def iou(masks: Tensor, expected: Tensor) -> Tensor:
    """Intersection over union of boolean masks [B, H, W] -> [B]; two empty masks agree."""
    both, either = (masks & expected).sum(dim=(1, 2)), (masks | expected).sum(dim=(1, 2))
    return torch.where(either > 0, both / either.clamp(min=1), torch.ones(len(masks)))


def edge_f1(edges: Tensor, expected: Tensor) -> Tensor:
    """`line_f1` within 2 pixels, [B, H, W] -> [B]."""
    return line_f1(edges, expected, TOLERANCE)


def outline(inside: Tensor) -> Tensor:
    """Canny edges of a mask: bool [B, H, W] -> bool [B, H, W]."""
    return canny(inside.float()[:, None].expand(-1, 3, -1, -1))[:, 0] > 0.5


def colour_names(colour: Tensor) -> list[str]:
    """The nearest of the world's colours: [B, 3] -> B names."""
    palette = torch.tensor(list(COLOURS.values()))
    names = list(COLOURS)
    return [names[int(n)] for n in torch.cdist(colour, palette).argmin(dim=1)]


def object_colour(image: Tensor, inside: Tensor) -> Tensor:
    """The median colour inside a mask; the whole picture's where the mask is empty -> [B, 3]."""
    rows = []
    for picture, where in zip(image, inside, strict=True):
        pixels = picture[:, where] if bool(where.any()) else picture.flatten(1)
        rows.append(pixels.median(dim=1).values)
    return torch.stack(rows)
