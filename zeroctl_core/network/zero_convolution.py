"""Zero convolutions, and Eq. 2 of the paper around any network block."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from .ops import TORCH_OPS, Ops


def zero_conv(
    channels: int,
    out_channels: int | None = None,
    ops: Ops = TORCH_OPS,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> nn.Module:
    """A 1x1 convolution whose weight and bias are 0: [B, channels, h, w] -> [B, out_channels, h, w].

    Source: arXiv 2302.05543, 3.1, Z(·; ·). Its weight still learns at once, because the gradient of the weight is the
    input and not the weight.
    """
    conv = ops.on(dtype, device).Conv2d(channels, out_channels or channels, 1)
    for parameter in conv.parameters():
        nn.init.zeros_(parameter)
    return conv


def _weighted_layers(block: nn.Module) -> Iterator[nn.Module]:
    """The layers that hold a weight of their own, in order of registration."""
    for layer in block.modules():
        if isinstance(getattr(layer, "weight", None), Tensor):
            yield layer


def _width(layer: nn.Module, names: tuple[str, ...], axis: int) -> int:
    """Channels on one side of a layer: by the attribute that its class has, else by its weight."""
    for name in names:
        if isinstance(value := getattr(layer, name, None), int):
            return value
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return weight.shape[axis if weight.ndim > 1 else 0]


class ControlledBlock(nn.Module):
    """A locked block F, a trainable copy of it and two zero convolutions, which is a ControlNet for this one block.

    y_c = F(x; P) + Z(F(x + Z(c; Pz1); Pc); Pz2),    x and c [B, C_in, h, w]  ->  [B, C_out, h, w]

    Source: arXiv 2302.05543, Eq. 2, with P for its capital theta. The block may be any module from a feature map to a
    feature map; further arguments (a timestep embedding) go to both halves. Widths that are not given are read from the
    first and the last layer with a weight. The block that is handed in is frozen and stays in evaluation mode: locked
    means its buffers too.

    Raises `ValueError` for a block without weights whose widths are not given, and when c is not of x's shape.
    """

    def __init__(self, block: nn.Module, in_channels: int | None = None, out_channels: int | None = None) -> None:
        super().__init__()
        layers = list(_weighted_layers(block))
        if not layers and (in_channels is None or out_channels is None):
            raise ValueError(
                f"{type(block).__name__} holds no weight to read the widths from; give in_channels and out_channels"
            )
        in_channels = in_channels or _width(layers[0], ("in_channels", "in_features"), 1)
        out_channels = out_channels or _width(layers[-1], ("out_channels", "out_features"), 0)
        self.copy = copy.deepcopy(block).requires_grad_(True).train()
        self.locked = block.requires_grad_(False).eval()
        like = next(block.parameters(), torch.empty(0))
        self.zero_in = zero_conv(in_channels, dtype=like.dtype, device=like.device)
        self.zero_out = zero_conv(out_channels, dtype=like.dtype, device=like.device)

    def train(self, mode: bool = True) -> ControlledBlock:
        """Set the mode of the trainable half; the locked half never leaves evaluation mode."""
        super().train(mode)
        self.locked.eval()
        return self

    def forward(self, x: Tensor, c: Tensor, *args: object, **kwargs: object) -> Tensor:
        if c.shape != x.shape:
            raise ValueError(
                f"the condition has the shape {tuple(c.shape)}, the input {tuple(x.shape)}; they must be the same"
            )
        controlled = self.copy(x + self.zero_in(c), *args, **kwargs)
        return self.locked(x, *args, **kwargs) + self.zero_out(controlled)
