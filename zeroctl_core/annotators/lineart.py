"""Line art: soft white lines on black, by a formula or by a network."""

from __future__ import annotations

from functools import reduce

import numpy as np
from torch import Tensor, nn

from .annotator import annotator
from .networks.lineart import LineartGenerator
from .networks.run_net import run_net
from .params import Choice, Param
from .pictures.pixels import from_uint8, to_uint8

PARAMS = (
    Choice(
        "style",
        ("standard", "realistic", "coarse"),
        help="standard: without a network, what is darker than its surroundings. realistic and coarse: a network each; "
        "coarse draws fewer and freer lines.",
    ),
    Param(
        "sigma",
        6.0,
        range=(0.1, 100.0),
        step=0.1,
        help="For standard: how far the surroundings reach, a Gaussian blur in pixels.",
    ),
    Param(
        "intensity",
        8,
        range=(0, 16),
        step=1,
        help="For standard: pixels this many levels darker than their surroundings set what a typical line is; that is "
        "drawn at half brightness. Higher values fade weak lines.",
    ),
)


@annotator(
    "lineart",
    params=PARAMS,
    needs=("cv2",),
    networks={"realistic": "lineart_realistic", "coarse": "lineart_coarse"},
    title="Line Art",
    summary="White lines on black with soft edges, as the Lineart ControlNets were trained on.",
)
def lineart(image: Tensor, style: str, sigma: float, intensity: int, net: nn.Module | None = None) -> Tensor:
    """Line art as the released ControlNets were trained on.

    [B, 3, H, W] in 0..1  ->  [B, 3, H, W] in 0..1, three equal channels, white lines on black

    `net` is the network of the styles that need one: [B, 3, h, w] in 0..1 -> [B, 1, h, w], dark lines on white.

    Source: the released gradio_lineart.py, whose ControlNet gets `1 - map`; standard as in other packs.
    """
    if net is None:
        return _standard(image, sigma, intensity)
    return (1 - run_net(net, image, LineartGenerator.multiple)).repeat(1, 3, 1, 1)


def _standard(image: Tensor, sigma: float, intensity: int) -> Tensor:
    """How much darker than its surroundings, the typical line at 127. [B, 3, H, W] -> the same, 8 bits deep"""
    import cv2

    pixels = to_uint8(image, by_opencv=True)
    lines = np.empty_like(pixels)
    for row, picture in enumerate(pixels):
        # plane by plane: a minimum over interleaved channels is several times slower
        planes = [plane.astype(np.float32) for plane in cv2.split(picture)]
        least = reduce(cv2.min, (cv2.GaussianBlur(plane, (0, 0), float(sigma)) - plane for plane in planes))
        darker = least.clip(0, 255)
        strong = darker[darker > intensity]
        # at least 16: a picture without lines stays dark
        darker /= max(16, np.median(strong)) if strong.size else 16
        darker *= 127
        # truncated as in other packs
        cv2.cvtColor(np.minimum(darker, 255).astype(np.uint8), cv2.COLOR_GRAY2RGB, dst=lines[row])
    return from_uint8(lines, image.device)
