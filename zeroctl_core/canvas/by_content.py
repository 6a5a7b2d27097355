"""Resize a condition image by the filter that its content asks for."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .by_area import resize_by_area
from .thin_edges import crests, opened, otsu, thin

FEWEST_COLOURS, MOST_COLOURS = 3, 199
"""A picture with so many colours is a map of classes: a colour between two classes would be a third class."""
HOLE = -1.0
"""The value of a pixel to be painted anew in an inpaint condition."""
BLACK, WHITE = 16 / 255, 240 / 255
"""Two colours that reach below and above these make a drawing."""


def n_colours(pixels: Tensor) -> int:
    """[C, H, W] uint8 -> how many different colours."""
    codes = torch.zeros_like(pixels[0], dtype=torch.int64)
    for plane in pixels:
        codes = codes * 257 + plane  # injective to 7 channels
    return int(torch.unique(codes).numel())


def has_hole(picture: Tensor) -> bool:
    """[C, H, W] -> whether some pixel is to be painted anew: nearer to `HOLE` than to black in every channel.

    Not `== HOLE`, which another resize before this one may have bent, and not any value below 0, to which filters
    overshoot beside an edge.
    """
    return bool((picture < HOLE / 2).all(dim=0).any())


def resize_by_content(image: Tensor, height: int, width: int) -> tuple[Tensor, str]:
    """One picture, [C, H, W] -> [C, height, width], and the name of the filter.

    `nearest` for an image with a hole (`has_hole`) and for 3 to 199 colours;
    `lines` and `drawing` for black and white with lines of one pixel and without; else `area` to shrink and
    `cubic` to grow. `same` when the size is the same: nothing is touched.

    Source: the rule of A1111's ControlNet extension (Mikubill/sd-webui-controlnet, scripts/controlnet.py). Ours
    differs in four points: the same size stays untouched, a drawing keeps its two colours (there every drawing becomes
    black and white), nearest takes the nearest pixel (there: the one up and left of it), lines keep their ends.
    """
    if (height, width) == tuple(image.shape[1:]):
        return image, "same"
    if has_hole(image):
        return _nearest(image, height, width), "nearest"
    pixels = image.float().mul(255).round().clamp(0, 255).to(torch.uint8)
    n = n_colours(pixels)
    if FEWEST_COLOURS <= n <= MOST_COLOURS:
        return _nearest(image, height, width), "nearest"
    if n == 2 and image.min() < BLACK and image.max() > WHITE:
        return _resize_drawing(image, pixels, height, width)
    return _smooth(image, height, width)


def _nearest(image: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(image[None], size=(height, width), mode="nearest-exact")[0]


def _smooth(image: Tensor, height: int, width: int) -> tuple[Tensor, str]:
    if height * width < image.shape[1] * image.shape[2]:
        return resize_by_area(image[None], height, width)[0], "area"
    larger = F.interpolate(image[None].float(), size=(height, width), mode="bicubic", align_corners=False)[0]
    # the filter overshoots at edges, where 8-bit pixels would saturate; the picture's own range is never cut
    return larger.clamp(min(0.0, float(image.min())), max(1.0, float(image.max()))).to(image.dtype), "cubic"


def _resize_drawing(image: Tensor, pixels: Tensor, height: int, width: int) -> tuple[Tensor, str]:
    brightness = pixels.long().sum(0)
    on = brightness > brightness.min()
    if not on.any():  # two colours of equal brightness
        return _nearest(image, height, width), "nearest"
    # more than half of what is on vanishes under an opening: lines
    lines = 2 * int((on & ~opened(on)).sum()) > int(on.sum())
    grey = _smooth(on[None].float(), height, width)[0][0]
    if lines:
        grey = crests(grey)
    drawing = otsu(grey.mul(255).round().to(torch.uint8))
    if lines:
        drawing = thin(drawing)
    ink, paper = (image[:, where][:, 0, None, None] for where in (on, ~on))
    return torch.where(drawing, ink, paper), "lines" if lines else "drawing"
