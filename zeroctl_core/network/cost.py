"""What a control costs beside the UNet, counted and not measured."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from ..files.on_meta import on_meta
from .base import Base
from .controlnet import ControlNet
from .unet import UNet

TOKENS = 77
"""Length of a CLIP prompt."""


@lru_cache(maxsize=32)
def flops(base: Base, kind: type[UNet] | type[ControlNet], height: int, width: int) -> int:
    """Floating point operations of one row through a UNet or a ControlNet, a multiply-add counted as 2.

    height, width: of the latent. Nothing is computed: the network is built and run on the meta device, and torch counts
    convolutions, linear layers and attention. The condition encoder is left out: it runs once a run, not once a step.
    """
    spec = base.spec
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        with on_meta():
            net = kind(base, device="meta")
        x = torch.empty(1, spec.in_channels, height, width, device="meta")
        t = torch.empty(1, device="meta")
        context = torch.empty(1, TOKENS, spec.context_dim, device="meta")
        y = None if spec.adm_in_channels is None else torch.empty(1, spec.adm_in_channels, device="meta")
        if isinstance(net, ControlNet):
            net(x, t, context, feature=torch.empty(1, spec.model_channels, height, width, device="meta"), y=y)
        else:
            net(x, t, context, y=y)
    return int(counter.get_total_flops())


def share_of_unet(net: Base, unet: Base, height: int, width: int) -> float:
    """Operations of a control over those of the UNet, for one row each; 0.35 on SD 1.5, 0.45 on SDXL."""
    return flops(net, ControlNet, height, width) / flops(unet, UNet, height, width)
