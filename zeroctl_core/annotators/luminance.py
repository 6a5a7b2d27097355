"""How bright the picture is, without its colours, for ControlNets that colour it again."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from .annotator import annotator
from .params import Choice, Param, Switch
from .pictures.pixels import grey_from_uint8, to_uint8

PARAMS = (
    Choice(
        "mode",
        ("L", "V"),
        help="L: the lightness of CIE LAB, as the eye sees it (luminance). V: the largest of red, green and blue "
        "(intensity).",
    ),
    Param(
        "gamma",
        1.0,
        range=(0.1, 2.0),
        step=0.001,
        help="The brightness to the power of this: below 1 is brighter, above 1 darker.",
    ),
    Switch(
        "peer_compat",
        False,
        help="The same pixels as other packs: they take red for blue in L, so that pure red is 82 instead of 136 and "
        "pure blue 136 instead of 82, and they truncate after gamma instead of rounding.",
        advanced=True,
    ),
)


@annotator(
    "luminance",
    net_names=("luminance", "brightness", "illumination", "recolor", "grey", "gray"),
    params=PARAMS,
    needs=("cv2",),
    title="Luminance",
    summary="The picture in grey, by lightness or by intensity, for recolor ControlNets, which give it new colours.",
)
def luminance(image: Tensor, mode: str, gamma: float, peer_compat: bool) -> Tensor:
    """Grey levels of a picture.

    [B, 3, H, W] in 0..1  ->  [B, 3, H, W] in 0..1, 8 bits deep, three equal channels

    Source: `recolor_luminance` and `recolor_intensity` of sd-webui-controlnet, scripts/processor.py. They hand RGB to
    `cv2.COLOR_BGR2LAB`; ours is `cv2.COLOR_RGB2LAB` unless `peer_compat`.
    """
    import cv2

    pixels = to_uint8(image, by_opencv=True)
    if mode == "L":
        code = cv2.COLOR_BGR2LAB if peer_compat else cv2.COLOR_RGB2LAB
        levels = np.stack([cv2.cvtColor(picture, code)[..., 0] for picture in pixels])
    else:
        levels = np.maximum(np.maximum(pixels[..., 0], pixels[..., 1]), pixels[..., 2])
    curve = (np.arange(256, dtype=np.float32) / 255) ** float(gamma) * 255
    table = (curve if peer_compat else curve.round()).clip(0, 255).astype(np.uint8)
    return grey_from_uint8(table[levels], image.device)
