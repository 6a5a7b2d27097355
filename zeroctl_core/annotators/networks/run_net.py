"""Run a network on pictures of any size."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..pictures.through_net import check_finite, in_parts

PADDED_TO = 64
"""To multiples of this other packs pad, too. Most networks need less, but at another size they draw other maps."""


def run_net(net: nn.Module, image: Tensor, multiple: int = PADDED_TO) -> Tensor:
    """[B, 3, H, W] in 0..1 -> what the net draws of it, [B, 1, H, W] float32 on the image's device.

    The net sees the picture in its own dtype and on its own device, enlarged to the right and below by repeating the
    last pixels, to sides that are multiples of `multiple`; the map is cropped.

    Raises `ValueError` where the net gives NaN or infinity.
    """
    height, width = image.shape[2:]
    weight = next(net.parameters())
    inside = image.clamp(0, 1).to(device=weight.device, dtype=weight.dtype)
    padded = F.pad(inside, (0, -width % multiple, 0, -height % multiple), mode="replicate")
    maps = torch.cat([net(part)[..., :height, :width] for part in in_parts(padded, net)])
    check_finite(type(net).__name__, maps)
    return maps.to(device=image.device, dtype=torch.float32)
