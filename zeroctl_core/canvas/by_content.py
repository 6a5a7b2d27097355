"""Resize a condition image by the filter that its content asks for."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .by_area import resize_by_area
from .content import Content, content_of
from .thin_edges import crests, opened, otsu, thin


def resize_by_content(image: Tensor, height: int, width: int, content: Content | None = None) -> tuple[Tensor, str]:
    """One picture, [C, H, W] -> [C, height, width], and the name of the filter.

    `nearest` for holes and classes (`content_of`, which is asked where `content` is None), `lines` and `drawing` for
    black and white with lines of one pixel and without; else `area` to shrink and `cubic` to grow. `same` when the size
    is the same: nothing is touched.

    Source: the rule of A1111's ControlNet extension (Mikubill/sd-webui-controlnet, scripts/controlnet.py). Ours
    differs in five points: the same size stays untouched, grey levels that are neighbours do not count as classes, a
    drawing keeps its two colours (there every drawing becomes black and white), nearest takes the nearest pixel
    (there: the one up and left of it), lines keep their ends.
    """
    if (height, width) == tuple(image.shape[1:]):
        return image, "same"
    content = content or content_of(image)
    if content in ("hole", "classes"):
        return _nearest(image, height, width), "nearest"
    if content == "drawing":
        return _resize_drawing(image, height, width)
    return _smooth(image, height, width)


def _nearest(image: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(image[None], size=(height, width), mode="nearest-exact")[0]


def _smooth(image: Tensor, height: int, width: int) -> tuple[Tensor, str]:
    if height * width < image.shape[1] * image.shape[2]:
        return resize_by_area(image[None], height, width)[0], "area"
    larger = F.interpolate(image[None].float(), size=(height, width), mode="bicubic", align_corners=False)[0]
    # the filter overshoots at edges, where 8-bit pixels would saturate; the picture's own range is never cut
    return larger.clamp(min(0.0, float(image.min())), max(1.0, float(image.max()))).to(image.dtype), "cubic"


def _resize_drawing(image: Tensor, height: int, width: int) -> tuple[Tensor, str]:
    brightness = image.float().mul(255).round_().clamp_(0, 255).sum(0)
    on = brightness > brightness.amin()
    if not on.any():  # two colours of equal brightness
        return _nearest(image, height, width), "nearest"
    # more than half of what is on vanishes under an opening: lines
    lines = 2 * int((on & ~opened(on)).count_nonzero()) > int(on.count_nonzero())
    grey = _smooth(on[None].float(), height, width)[0][0]
    if lines:
        grey = crests(grey)
    drawing = otsu(grey.mul(255).round().to(torch.uint8))
    if lines:
        drawing = thin(drawing)
    ink, paper = (_first(image, where) for where in (on, ~on))
    return torch.where(drawing, ink, paper), "lines" if lines else "drawing"


def _first(image: Tensor, where: Tensor) -> Tensor:
    """[C, H, W], [H, W] bool -> [C, 1, 1]: the first pixel of those, row by row."""
    row, column = divmod(int(where.flatten().view(torch.uint8).argmax()), where.shape[1])
    return image[:, row, column, None, None]
