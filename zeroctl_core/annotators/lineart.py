"""Line art: soft white lines on black, by a formula or by a network."""

from __future__ import annotations

from functools import reduce

import numpy as np
import torch
from torch import Tensor, nn

from .annotator import annotator
from .networks.lineart import LineartGenerator
from .networks.run_net import run_net
from .params import Choice, Param
from .pictures.gaussian import gaussian_blur
from .pictures.pixels import from_uint8, to_uint8

HALF_A_LEVEL = 0.5

PARAMS = (
    Choice(
        "style",
        ("standard", "realistic", "coarse", "standard_batch"),
        help="standard: without a network, what is darker than its surroundings. realistic and coarse: a network each; "
        "coarse draws fewer and freer lines. standard_batch: standard with one brightness for all pictures, for video.",
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
    Param(
        "floor",
        0,
        range=(0, 64),
        step=1,
        help="Levels of 255: what is drawn fainter is black. 0, as trained, leaves noise of 1 to 12 on photographs, "
        "which some SDXL nets follow; 16 removes it.",
        added=True,
    ),
)


def finish(parts: Tensor, style: str, intensity: int, floor: int, **settings: object) -> Tensor:
    """What is darker than its surroundings in a batch, by one typical line, where that is asked; without what is
    fainter than the floor.
    """
    if style == "standard_batch":
        lines = _typical_at_half(parts[:, 0].cpu().numpy(), intensity)
        parts = from_uint8(np.repeat(lines[..., None], 3, axis=-1), parts.device)
    return torch.where(parts * 255 < floor - HALF_A_LEVEL, 0.0, parts) if floor else parts


@annotator(
    "lineart",
    union_type=3,
    net_names=("lineart", "mistoline"),
    params=PARAMS,
    needs=("cv2",),
    networks={"realistic": "lineart_realistic", "coarse": "lineart_coarse"},
    title="Line Art",
    aliases=("line art",),
    summary="White lines on black with soft edges, as the Lineart ControlNets were trained on.",
    transparent="drawing",
    finish=finish,
)
def lineart(
    image: Tensor, style: str, sigma: float, intensity: int, floor: int, net: nn.Module | None = None
) -> Tensor:
    """Line art as the released ControlNets were trained on.

    [B, 3, H, W] in 0..1  ->  [B, 3, H, W] in 0..1, three equal channels, white lines on black

    `finish` removes what is fainter than `floor`.

    `net` is the network of the styles that need one: [B, 3, h, w] in 0..1 -> [B, 1, h, w], dark lines on white.

    Source: the released gradio_lineart.py, whose ControlNet gets `1 - map`; standard as in other packs.
    """
    if style == "standard_batch":  # `finish` sees all pictures of the batch
        return torch.from_numpy(_darker(image, sigma))[:, None].repeat(1, 3, 1, 1).to(image.device)
    if net is None:
        lines = np.stack([_typical_at_half(picture, intensity) for picture in _darker(image, sigma)])
        return from_uint8(np.repeat(lines[..., None], 3, axis=-1), image.device)
    return (1 - run_net(net, image, LineartGenerator.multiple)).repeat(1, 3, 1, 1)


def _darker(image: Tensor, sigma: float) -> np.ndarray:
    """How much darker than its surroundings: [B, 3, H, W] -> [B, H, W] float32, levels of 0..255"""
    import cv2

    pixels = to_uint8(image, by_opencv=True)
    darker = np.empty(pixels.shape[:3], np.float32)
    for row, picture in enumerate(pixels):
        # plane by plane: a minimum over interleaved channels is several times slower
        planes = [plane.astype(np.float32) for plane in cv2.split(picture)]
        darker[row] = reduce(cv2.min, (gaussian_blur(plane, sigma) - plane for plane in planes))
    return darker.clip(0, 255)


def _typical_at_half(darker: np.ndarray, intensity: int) -> np.ndarray:
    """Levels [..., H, W] -> uint8, the typical line of all at 127."""
    strong = darker[darker > intensity]
    # at least 16: a picture without lines stays dark
    gain = max(16, np.median(strong)) if strong.size else 16
    # truncated as in other packs
    return np.minimum(darker / gain * 127, 255).astype(np.uint8)
