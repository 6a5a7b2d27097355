"""A blurred picture, for ControlNets that sharpen."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from .annotator import annotator
from .params import Param
from .pictures.gaussian import gaussian_blur
from .pictures.pixels import from_uint8, to_uint8

PARAMS = (
    Param(
        "sigma",
        9.0,
        range=(0.01, 64.0),
        step=0.01,
        help="Width of the Gaussian in pixels, at the size of the picture: twice the picture needs twice the sigma. "
        "Below 0.25 nothing changes.",
    ),
)


@annotator(
    "blur",
    union_type=6,
    net_names=("blur", "tile"),
    params=PARAMS,
    needs=("cv2",),
    title="Gaussian Blur",
    summary="The picture through a Gaussian blur, in colour, for blur and tile ControlNets, which add the details.",
)
def blur(image: Tensor, sigma: float) -> Tensor:
    """A Gaussian blur of 8-bit RGB, the edges mirrored.

    [B, 3, H, W] in 0..1  ->  [B, 3, H, W] in 0..1, 8 bits deep

    Source: `blur_gaussian` of sd-webui-controlnet, scripts/processor.py, and its slider: 9.0 in 0.01..64.
    """
    blurred = [gaussian_blur(picture, sigma) for picture in to_uint8(image, by_opencv=True)]
    return from_uint8(np.stack(blurred), image.device)
