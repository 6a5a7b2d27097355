"""Segmentation maps that lost their exact colours, brought back to them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .annotator import annotator
from .colors.class_colors import nearest_classes, paint_classes
from .colors.palette import PALETTE, palette_colors
from .params import Param
from .pictures.pixels import to_uint8

PARAMS = (
    PALETTE,
    Param(
        "smallest",
        5,
        range=(1, 64),
        step=1,
        help="Side in pixels of the smallest square that a class must fill somewhere; other classes are dropped. The "
        "mixed colours along a blurred border look like other classes, but they are narrow. 1 keeps all.",
    ),
)

FAR, FEW = 40, 0.03
"""Levels, the three channels added up, that a resized or compressed map keeps to its colours, but for this share of
its pixels along the borders. Of a photograph half of the pixels and more are farther."""


def doubt(picture: Tensor, condition: Tensor, **settings: object) -> str:
    """Whether the picture is a map in these colours, from how far it lies from its condition."""
    distance = (picture.float() - condition.to(picture.device)).abs().sum(1) * 255
    shares = (distance > FAR).flatten(1).float().mean(1)
    most = int(shares.argmax())
    if shares[most] <= FEW:
        return ""
    return (
        f"{shares[most]:.0%} of the pixels of picture {most + 1} are far from all colours of the palette, and became "
        "the nearest: this may be a photograph, a map in another palette, in BGR or in linear light. Give it a map in "
        "the colours of ADE20K."
    )


@annotator(
    "segment_snap",
    union_type=5,
    net_names=("segment", "seg"),
    params=PARAMS,
    title="Segmentation Colours, Exact",
    summary="Brings a segmentation map that was resized, blurred or saved as JPEG back to the exact colours that "
    "segmentation ControlNets know. It finds nothing in a photograph: give it a map.",
    takes="map",
    resizable=False,
    transparent="black",
    doubt=doubt,
)
def segment_snap(image: Tensor, palette: str, smallest: int) -> Tensor:
    """Every pixel in the nearest colour of the palette; black, which stands for no class, stays black.

    [B, 3, H, W] in 0..1  ->  [B, 3, H, W] float32 in 0..1, colours of the palette and black

    What nearest is, and which classes count, says `nearest_classes`.
    """
    colors = palette_colors(palette)
    ids = [nearest_classes(picture, colors, int(smallest)) for picture in to_uint8(image)]
    return paint_classes(torch.from_numpy(np.stack(ids)), palette).to(image.device)
