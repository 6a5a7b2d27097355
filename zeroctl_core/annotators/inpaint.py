"""The picture with a hole in it, as inpaint ControlNets want it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .annotator import annotator
from .params import Choice, Param
from .pictures.gaussian import gaussian_blur
from .pictures.opencv import check_opencv

FILLS = {"minus_one": -1.0, "black": 0.0, "gray": 0.5}

PARAMS = (
    Choice(
        "fill",
        tuple(FILLS),
        help="What the hole is filled with. minus_one: -1, for control_v11p_sd15_inpaint; it lies below black, so the "
        "map must not be saved as a picture on the way. black: 0, for the xinsir ControlNets. gray: 0.5.",
    ),
    Param(
        "mask_blur",
        0.0,
        range=(0.0, 64.0),
        step=0.1,
        help="Gaussian blur of the mask in pixels before it is cut at one half: rounds its corners and drops specks. 0 "
        "is none; the demo of the SD 1.5 inpaint ControlNet has 5.",
    ),
)


def doubt(picture: Tensor, condition: Tensor, mask_blur: float, **settings: object) -> str:
    """Says where the blur has left nothing of a mask."""
    whole = sum(torch.equal(one, other) for one, other in zip(picture.float().clamp(0, 1), condition, strict=True))
    if not (mask_blur > 0 and whole):
        return ""
    who = "the picture has" if len(condition) == 1 else f"{whole} of {len(condition)} pictures have"
    return f"{who} no hole: mask_blur {mask_blur:g} leaves nothing of the mask. Lower it, or paint wider."


@annotator(
    "inpaint",
    union_type=7,
    net_names=("inpaint", "repaint"),
    takes_mask=True,
    params=PARAMS,
    title="Inpaint Hole",
    summary="The picture with its masked part set to -1, which tells an inpaint ControlNet what to fill.",
    resizable=False,
    doubt=doubt,
)
def inpaint(image: Tensor, mask: Tensor, fill: str, mask_blur: float) -> Tensor:
    """Masked pixels become the fill in all three channels, the others stay as they are.

    image [B, 3, H, W] in 0..1, mask [B, 1, H, W] in 0..1, 1 is the hole  ->  [B, 3, H, W], 0..1 and the fill

    The hole is where the mask, blurred if asked, is above one half.
    Source: gradio_inpaint.py of ControlNet 1.1 (-255 before the division by 255; the blur); the inpaint preprocessor of
    comfyui_controlnet_aux (0 for xinsir).
    """
    mask = mask.float()
    if mask_blur > 0:
        check_opencv("inpaint")
        planes = [gaussian_blur(plane, mask_blur) for plane in mask[:, 0].cpu().numpy()]
        mask = torch.from_numpy(np.stack(planes))[:, None]
    # the picture is clamped, the result is not
    return torch.where(mask.to(image.device) > 0.5, FILLS[fill], image.float().clamp(0, 1)).contiguous()
