"""A union ControlNet: one network for several types of conditions, and for several conditions in one run of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..files.plural import plural
from ..residuals import Residuals
from .base import Base
from .blocks import timestep_embedding
from .controlnet import ControlNet
from .ops import TORCH_OPS, Ops
from .spec_of_file import TYPE_CHANNELS

UNION_TYPES = (
    "openpose",
    "depth",
    "hed/pidi/scribble/ted",
    "canny/lineart/anime_lineart/mlsd",
    "normal",
    "segment",
    "tile",
    "repaint",
)
"""By number, in the host's words. The first release has six of them, ProMax all eight."""


class _Value(nn.Module):
    """The attention of a sequence of one: what it attends to is itself, so queries and keys make no difference."""

    def __init__(self, channels: int, ops: Ops, dtype: torch.dtype | None, device: torch.device | str | None) -> None:
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.zeros(3 * channels, channels, dtype=dtype, device=device))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * channels, dtype=dtype, device=device))
        self.out_proj = ops.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = (
            parameter.chunk(3)[2].to(x.device, x.dtype) for parameter in (self.in_proj_weight, self.in_proj_bias)
        )
        return self.out_proj(F.linear(x, weight, bias))


class _FeedForward(nn.Module):
    def __init__(self, channels: int, ops: Ops) -> None:
        super().__init__()
        self.c_fc = ops.Linear(channels, 4 * channels)
        self.c_proj = ops.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.c_fc(x)
        return self.c_proj(x * torch.sigmoid(1.702 * x))


class _ConditionBlock(nn.Module):
    """[B, C] -> [B, C], row by row."""

    def __init__(self, channels: int, ops: Ops, dtype: torch.dtype | None, device: torch.device | str | None) -> None:
        super().__init__()
        self.attn = _Value(channels, ops, dtype, device)
        self.ln_1 = ops.LayerNorm(channels)
        self.mlp = _FeedForward(channels, ops)
        self.ln_2 = ops.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class _TypeEmbedding(nn.Module):
    """Which types are active, one vector for all rows: numbers -> [1, 4 * model_channels]."""

    def __init__(self, n_types: int, channels: int, ops: Ops) -> None:
        super().__init__()
        self.n_types = n_types
        self.linear_1 = ops.Linear(TYPE_CHANNELS * n_types, channels)
        self.linear_2 = ops.Linear(channels, channels)

    def forward(self, types: Sequence[int], like: Tensor) -> Tensor:
        active = torch.tensor([float(number in types) for number in range(self.n_types)], device=like.device)
        x = timestep_embedding(active, TYPE_CHANNELS).reshape(1, -1).to(like.dtype)
        return self.linear_2(F.silu(self.linear_1(x)))


class UnionControlNet(ControlNet):
    """A ControlNet that is told which types its conditions are of.

    `encode(image [B, 3, 8h, 8w])` is the feature of a condition whose type nobody tells. `encode_types(images
    [B, 3k, 8h, 8w], types)` is that of k conditions of k types; the same types go into `net(..., types=types)`.
    `of_types` gives both as one network.

    Source: xinsir6/ControlNetPlus, whose parameter names it keeps, "layes" included. There the condition block attends
    along the batch, since its `MultiheadAttention` takes sequences first: with one row a call every condition is a
    sequence of one, which is how it was trained to act and what is computed here, row by row.
    """

    kind = "union ControlNet"

    def __init__(
        self,
        base: Base,
        ops: Ops = TORCH_OPS,
        *,
        n_types: int = len(UNION_TYPES),
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__(base, ops, dtype=dtype, device=device)
        ops = ops.on(dtype, device)
        channels = base.spec.model_channels
        self.task_embedding = nn.Parameter(torch.zeros(n_types, channels, dtype=dtype, device=device))
        self.transformer_layes = nn.ModuleList([_ConditionBlock(channels, ops, dtype, device)])
        self.spatial_ch_projs = ops.Linear(channels, channels)
        self.control_add_embedding = _TypeEmbedding(n_types, base.spec.embedding_channels, ops)

    @property
    def n_types(self) -> int:
        return self.task_embedding.shape[0]

    def encode_types(self, images: Tensor, types: Sequence[int], strengths: Sequence[float] | None = None) -> Tensor:
        """The feature of one condition a type: [B, 3k, H, W] -> [B, model_channels, ceil(H/8), ceil(W/8)].

        The images of the conditions are side by side in the channels.

        strengths: of each condition inside the network, 1 without. A single condition is scaled at the residuals
        instead, as the source does.

        Raises `ValueError` for types that this network does not have, or not for every image.
        """
        self._check_types(types)
        k, channels = len(types), self.spec.condition_channels
        if images.shape[1] != k * channels:
            raise ValueError(
                f"the conditions have {images.shape[1]} channels; expected {k * channels}, {channels} for each of "
                f"{plural(k, 'type')}"
            )
        total: Tensor | None = None
        for place, number in enumerate(types):
            strength = 1.0 if strengths is None else strengths[place]
            condition = self.encode(images[:, place * channels : (place + 1) * channels])
            task = self.task_embedding[number].to(condition.device, condition.dtype)
            x = (condition.mean(dim=(2, 3)) + task) * strength
            for block in self.transformer_layes:
                x = block(x)
            feature = condition * strength + self.spatial_ch_projs(x)[:, :, None, None] * strength
            total = feature if total is None else total + feature
        assert total is not None
        return total

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        context: Tensor,
        *,
        feature: Tensor,
        y: Tensor | None = None,
        types: Sequence[int] = (),
    ) -> Residuals:
        """Residuals as of any ControlNet. types: of the conditions that the feature was made of; none: not told.

        Raises `ValueError` for shapes that do not belong together, and for types that this network does not have.
        """
        if types:
            self._check_types(types)
        emb = self.embed(x, t, y)
        return self.residuals(x, emb + self.control_add_embedding(types, emb), context, feature)

    def of_types(self, types: Sequence[int], strengths: Sequence[float] | None = None) -> TypedControlNet:
        """This network for conditions of these types, as `ControlUnit` takes one."""
        self._check_types(types)
        return TypedControlNet(self, tuple(types), None if strengths is None else tuple(strengths))

    def _check_types(self, types: Sequence[int]) -> None:
        names = ", ".join(f"{number} {name}" for number, name in enumerate(UNION_TYPES[: self.n_types]))
        for number in types:
            if not 0 <= number < self.n_types:
                name = f" ({UNION_TYPES[number]})" if 0 <= number < len(UNION_TYPES) else ""
                hint = " ProMax, the later release, has 8." if self.n_types < len(UNION_TYPES) else ""
                raise ValueError(
                    f"the type {number}{name} is not one of the {self.n_types} of this union ControlNet: {names}.{hint}"
                )
        if not types or len(set(types)) < len(types):
            raise ValueError(f"the types are {tuple(types)}; give each condition another one of {names}")


class TypedControlNet:
    """A union ControlNet for conditions of fixed types: `encode` takes them side by side, [B, 3k, H, W]."""

    def __init__(self, net: UnionControlNet, types: tuple[int, ...], strengths: tuple[float, ...] | None) -> None:
        self.net = net
        self.types = types
        self.strengths = strengths
        channels = len(types) * net.spec.condition_channels
        self.base = net.base.with_spec(replace(net.spec, condition_channels=channels))

    def encode(self, images: Tensor) -> Tensor:
        """Raises `ValueError` for another number of channels."""
        return self.net.encode_types(images, self.types, self.strengths)

    def __call__(self, x: Tensor, t: Tensor, context: Tensor, *, feature: Any, y: Tensor | None = None) -> Residuals:
        residuals: Residuals = self.net(x, t, context, feature=feature, y=y, types=self.types)
        return residuals
