"""The judge's verdict on pictures of known scenes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .judge import Judge
from .shapes import SHAPES
from .world import COLOURS, Scene

SHAPE_NAMES, COLOUR_NAMES = list(SHAPES), list(COLOURS)


def names_of(world: Sequence[Scene]) -> tuple[Tensor, Tensor, Tensor]:
    """The numbers of shape, colour and background, as the judge counts them, [B] each."""
    return (
        torch.tensor([SHAPE_NAMES.index(one.shape) for one in world]),
        torch.tensor([COLOUR_NAMES.index(one.colour) for one in world]),
        torch.tensor([COLOUR_NAMES.index(one.background) for one in world]),
    )


@torch.no_grad()
def judged(judge: Judge, images: Tensor, world: Sequence[Scene]) -> dict[str, float]:
    """Share of pictures [B, 3, H, W] in which the judge sees the scene's shape, colour and background."""
    said = judge(images)
    return {
        name: float((scores.argmax(dim=1) == right).float().mean())
        for name, scores, right in zip(("shape", "colour", "background"), said, names_of(world), strict=True)
    }
