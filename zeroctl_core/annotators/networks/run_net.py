"""Run a network on pictures of any size."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PADDED_TO = 64
"""To multiples of this other packs pad, too; the networks' own multiples divide it."""


NOT_FINITE = "its file is damaged, or float16 is too small for it: run it in float32 (ComfyUI: --force-fp32)"
"""The cause and the remedy."""


def run_net(net: nn.Module, image: Tensor, multiple: int = PADDED_TO) -> Tensor:
    """[B, 3, H, W] in 0..1 -> what the net draws of it, [B, 1, H, W] float32 on the image's device.

    The net sees the picture in its own dtype and on its own device, made larger to the right and below by repeating the
    last pixels, to sides that are multiples of `multiple`; the map is cropped. On a CPU the pictures go through one by
    one: a batch costs there as much time as its pictures, and all their memory at once.

    Raises `ValueError` where the net gives NaN or infinity.
    """
    height, width = image.shape[2:]
    weight = next(net.parameters())
    inside = image.clamp(0, 1).to(device=weight.device, dtype=weight.dtype)
    padded = F.pad(inside, (0, -width % multiple, 0, -height % multiple), mode="replicate")
    parts = torch.split(padded, 1 if weight.device.type == "cpu" else len(padded))
    drawn = torch.cat([net(part)[..., :height, :width] for part in parts])
    if not drawn.isfinite().all():
        raise ValueError(f"{type(net).__name__}: the network gives NaN or infinity; {NOT_FINITE}")
    return drawn.to(device=image.device, dtype=torch.float32)
