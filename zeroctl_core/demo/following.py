"""Scores: does a sample show what the condition says? All by closed formulas, from the sample's pixels alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..annotators.canny import canny
from ..train.score import line_f1
from .world import COLOURS, Scene, render

BORDER = 3  # pixels along the edge of the picture that are background in every scene
DIFFERENT = 0.2  # Euclidean distance in RGB from which a pixel is not background
TOLERANCE = 2  # pixels by which an edge may be off
RIM = 2  # pixels inside the outline that are mixed with the ground, by sampling and by the autoencoder: not shading


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


def correlation(a: Tensor, b: Tensor, where: Tensor) -> Tensor:
    """Pearson's correlation of two maps [B, H, W] over the pixels of a mask; 0 where one of them is constant -> [B]."""
    weight = where.float()
    count = weight.sum(dim=(1, 2)).clamp(min=1)

    def centred(x: Tensor) -> Tensor:
        mean = (x * weight).sum(dim=(1, 2)) / count
        return (x - mean[:, None, None]) * weight

    a, b = centred(a), centred(b)
    size = (a.square().sum(dim=(1, 2)) * b.square().sum(dim=(1, 2))).sqrt()
    return (a * b).sum(dim=(1, 2)) / size.clamp(min=1e-9)


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


def follow_scores(image: Tensor, world: Sequence[Scene]) -> dict[str, float]:
    """How well pictures [B, 3, 128, 128] show their scenes; means over the batch.

    `iou` and `edge_f1` of the object's outline, `shading`: correlation of the luminance inside the object (but for a
    rim of 2 pixels) with the renderer's shading, over the scenes that are not flat, `colour` and `background`: share
    that is nearest to the right name.
    """
    image = image.clamp(0, 1)
    truth = render(world)
    expected = truth.mask[:, 0] > 0.5
    inner = -F.max_pool2d(-expected.float()[:, None], 2 * RIM + 1, stride=1, padding=RIM)[:, 0] > 0.5
    masks = object_mask(image)
    shaded = [row for row, one in enumerate(world) if not one.is_flat]
    names = zip(colour_names(object_colour(image, masks)), colour_names(background_colour(image)), strict=True)
    right = [(c == one.colour, b == one.background) for (c, b), one in zip(names, world, strict=True)]
    scores = {
        "iou": float(iou(masks, expected).mean()),
        "edge_f1": float(edge_f1(outline(masks), outline(expected)).mean()),
        "colour": sum(c for c, _ in right) / len(right),
        "background": sum(b for _, b in right) / len(right),
    }
    if shaded:
        luminance, shading = image.mean(dim=1)[shaded], truth.shading[shaded, 0]
        scores["shading"] = float(correlation(luminance, shading, inner[shaded]).mean())
    return scores
