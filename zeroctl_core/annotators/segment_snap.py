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


@annotator(
    "segment_snap",
    params=PARAMS,
    title="Segmentation Colours, Exact",
    summary="Brings a segmentation map that was resized, blurred or saved as JPEG back to the exact colours that "
    "segmentation ControlNets know. It finds nothing in a photograph: give it a map.",
    takes="map",
    resizable=False,
)
def segment_snap(image: Tensor, palette: str, smallest: int) -> Tensor:
    """Every pixel in the nearest colour of the palette; black, which stands for no class, stays black.

    [B, 3, H, W] in 0..1  ->  [B, 3, H, W] float32 in 0..1, colours of the palette and black

    What nearest is, and which classes count, says `nearest_classes`.
    """
    colors = palette_colors(palette)
    ids = [nearest_classes(picture, colors, int(smallest)) for picture in to_uint8(image)]
    return paint_classes(torch.from_numpy(np.stack(ids)), palette).to(image.device)
