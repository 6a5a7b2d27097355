"""What a network is built from: layer classes and the attention function, handed in by whoever builds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LAYERS = ("Linear", "Conv2d", "GroupNorm", "LayerNorm")
Layer = Callable[..., nn.Module]
Attention = Callable[[Tensor, Tensor, Tensor, int], Tensor]


def scaled_dot_product_attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """softmax(q k^T / sqrt(d)) v for each head.

    q [B, N, heads*d], k and v [B, M, heads*d]  ->  [B, N, heads*d]

    Source: Vaswani et al., arXiv 1706.03762, Eq. 1, computed by torch.
    """
    q, k, v = (x.reshape(*x.shape[:2], heads, -1).transpose(1, 2) for x in (q, k, v))  # [B, heads, N, d]
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


@dataclass(frozen=True)
class Ops:
    """The layers and the attention of a network; the default is torch's own.

    Layer classes are called as those of `torch.nn`, `dtype=` and `device=` included. A host hands in classes that cast,
    offload or quantise, and the attention that its user chose.
    """

    Linear: Layer = nn.Linear
    Conv2d: Layer = nn.Conv2d
    GroupNorm: Layer = nn.GroupNorm
    LayerNorm: Layer = nn.LayerNorm
    attention: Attention = scaled_dot_product_attention

    def on(self, dtype: torch.dtype | None, device: torch.device | str | None) -> Ops:
        """The same, for layers of this dtype on this device; None leaves what holds so far."""
        place = {key: value for key, value in (("dtype", dtype), ("device", device)) if value is not None}
        layers = {name: partial(getattr(self, name), **place) for name in LAYERS}
        return replace(self, **layers) if place else self


TORCH_OPS = Ops()
