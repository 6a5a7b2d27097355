"""Tile: the picture itself, or a blurred copy of it."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from .annotator import annotator
from .params import Choice, Param
from .pictures.opencv import check_opencv
from .pictures.pixels import from_uint8, to_uint8

PARAMS = (
    Choice(
        "mode",
        ("resize", "pyramid", "area"),
        help="resize hands the picture on as it is, which is what the Tile ControlNet was released with. pyramid and "
        "area remove detail: a Gaussian pyramid down and up again, or the mean of squares.",
    ),
    Param(
        "downscale",
        8.0,
        range=(1.0, 8.0),
        step=0.1,
        help="For pyramid and area: how many times smaller the picture becomes on the way; 1 changes nothing. Pyramid "
        "takes the nearest of 1, 2, 4 and 8, halfway the larger.",
    ),
)

PYRAMIDS = (8, 4, 2, 1)
"""How many times smaller a pyramid can make the picture, the larger first."""


@annotator(
    "tile",
    union_type=6,
    net_names=("tile", "blur"),
    params=PARAMS,
    title="Tile",
    aliases=("tile resample",),
    summary="The picture in its own colours, sharp or with its detail removed, for the Tile ControlNets.",
)
def tile(image: Tensor, mode: str, downscale: float) -> Tensor:
    """The picture for a Tile ControlNet, in colour.

    [B, 3, H, W] in 0..1  ->  [B, 3, H, W] in 0..1, 8 bits deep

    Source: the released gradio_tile.py, which hands the picture on, enlarged by LINEAR where it was small (`area`
    enlarges in that way, after an AREA reduction); the pyramid is pyrDown and pyrUp of its annotator/shuffle without
    their noise.
    """
    if mode == "resize":
        return from_uint8(to_uint8(image), image.device)
    check_opencv("tile")
    pixels = to_uint8(image, by_opencv=True)
    for row, picture in enumerate(pixels):
        if mode == "pyramid":
            pixels[row] = _pyramid(picture, min(PYRAMIDS, key=lambda times: abs(times - downscale)))
        else:
            pixels[row] = _area(picture, downscale)
    return from_uint8(pixels, image.device)


def _pyramid(picture: np.ndarray, times: int) -> np.ndarray:
    """Halve until it is so many times smaller, and double again; nothing is displaced. [H, W, 3] uint8 -> the same"""
    import cv2

    sizes = []
    while times > 1:
        sizes.append(picture.shape[:2])
        picture = cv2.pyrDown(picture)
        times //= 2
    for height, width in reversed(sizes):
        picture = cv2.pyrUp(picture, dstsize=(width, height))
    return picture


def _area(picture: np.ndarray, downscale: float) -> np.ndarray:
    """Reduce by the mean of squares and enlarge again. [H, W, 3] uint8 -> [H, W, 3] uint8"""
    import cv2

    height, width = picture.shape[:2]
    small = (max(1, int(width / downscale)), max(1, int(height / downscale)))
    reduced = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
    return cv2.resize(reduced, (width, height), interpolation=cv2.INTER_LINEAR)
