"""A condition image below its node."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from .schema import ComfyNode, ui
from .shown import shown

__all__ = ["preview"]

SHOWN = 16  # pictures of a batch: each is a file that has to be written


def preview(condition: Tensor, node: type[ComfyNode]) -> dict[str, Any]:
    """The first pictures of a condition [B, H, W, 3]; what is below 0 (holes) is shown black."""
    return shown(ui.PreviewImage(condition[:SHOWN].clamp(0, 1), cls=node).as_dict())
