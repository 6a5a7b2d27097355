"""Pictures through a network: how many at once, and whether what comes out is finite."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def in_parts(image: Tensor, net: nn.Module, most: int | None = None) -> tuple[Tensor, ...]:
    """A batch [B, C, H, W] as the parts that go through the net together: all, or `most`; on a CPU one by one.

    A batch costs there as much time as its pictures, and all their memory at once.
    """
    return torch.split(image, min(at_once(next(net.parameters()).device), most or len(image)))


def at_once(device: torch.device) -> int:
    """How many pictures a device takes at once."""
    return 1 if device.type == "cpu" else 1 << 30


def check_finite(owner: str, *outputs: Tensor) -> None:
    """Raises `ValueError` for outputs that hold NaN or infinity."""
    if not all(bool(output.isfinite().all()) for output in outputs):
        raise ValueError(
            f"{owner}: the network gives NaN or infinity; its file is damaged, or float16 is too small for it: run it "
            "in float32 (ComfyUI: --force-fp32)"
        )
