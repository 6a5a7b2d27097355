"""The condition encoder: from a condition image to the first feature map of the network."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from .ops import TORCH_OPS, Layer, Ops
from .spec import condition_widths_of


def _gaussian(conv: nn.Module) -> nn.Module:
    """Gaussian weights whose spread keeps the variance through a ReLU (He et al., arXiv 1502.01852, Eq. 10).

    The paper says Gaussian and names no spread. The released code leaves torch's default, which shrinks the signal to
    .58 with every layer, to .01 at the end: on the embedded model a control then followed nothing after 350 steps, and
    with this start from step 125 on.
    """
    weight, bias = conv.weight, conv.bias
    assert isinstance(weight, Tensor) and isinstance(bias, Tensor)
    nn.init.normal_(weight, std=math.sqrt(2 / weight[0].numel()))
    nn.init.zeros_(bias)
    return conv


def _released(in_channels: int, out_channels: int, widths: tuple[int, ...], conv: Layer) -> list[nn.Module]:
    """3x3, SiLU; at every resolution one convolution that keeps it and one that halves it; a zero 3x3 at the end."""
    layers: list[nn.Module] = [_gaussian(conv(in_channels, widths[0], 3, padding=1)), nn.SiLU()]
    for width, wider in zip(widths, widths[1:], strict=False):
        layers += [_gaussian(conv(width, width, 3, padding=1)), nn.SiLU()]
        layers += [_gaussian(conv(width, wider, 3, stride=2, padding=1)), nn.SiLU()]
    last = conv(widths[-1], out_channels, 3, padding=1)
    for parameter in last.parameters():
        nn.init.zeros_(parameter)
    return [*layers, last]


def _paper(in_channels: int, out_channels: int, widths: tuple[int, ...], conv: Layer) -> list[nn.Module]:
    """4x4, ReLU, Gaussian start; the last convolution keeps the resolution; a zero 1x1 at the end."""
    layers: list[nn.Module] = []
    for width in widths[:-1]:
        layers += [_gaussian(conv(in_channels, width, 4, stride=2, padding=1)), nn.ReLU()]
        in_channels = width
    # an even kernel keeps the resolution only with one more cell of padding on one side
    layers[-1] = nn.Sequential(layers[-1], nn.ZeroPad2d((1, 2, 1, 2)))
    layers += [_gaussian(conv(in_channels, widths[-1], 4)), nn.ReLU()]
    zero = conv(widths[-1], out_channels, 1)
    for parameter in zero.parameters():
        nn.init.zeros_(parameter)
    return [*layers, zero]


Form = Callable[[int, int, tuple[int, ...], Layer], list[nn.Module]]

BUILDERS: dict[str, Form] = {"released": _released, "paper": _paper}


class ConditionEncoder(nn.Sequential):
    """Bring a condition image to the size and width of the first feature map.

    [B, in_channels, 8h, 8w] in 0..1  ->  [B, out_channels, h, w]

    Two forms, by name:
    `released` is `input_hint_block` of the released cldm.py: 3x3 convolutions, SiLU, 16-16-32-32-96-96-256, three
    strides of 2, the last convolution zero. All published weights have this form. A new one starts Gaussian too.
    `paper` follows the text of arXiv 2302.05543, 3.2: four 4x4 convolutions with ReLU, 16-32-64-128, Gaussian start,
    and a zero convolution to the network's width. The text gives all four a stride of 2 and says 512x512 becomes 64x64;
    four strides of 2 would make it 32x32, so here the fourth has stride 1. No published weights have this form.

    Raises `ValueError` for a form that is not known, and for another number of widths than its four.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 320,
        form: str = "released",
        widths: tuple[int, ...] | None = None,
        ops: Ops = TORCH_OPS,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        widths = condition_widths_of(form, widths)
        super().__init__(*BUILDERS[form](in_channels, out_channels, widths, ops.on(dtype, device).Conv2d))
        self.in_channels = in_channels
        self.form = form

    def forward(self, image: Tensor) -> Tensor:
        if image.ndim != 4 or image.shape[1] != self.in_channels:
            raise ValueError(
                f"the condition image has the shape {tuple(image.shape)}; expected "
                f"[B, {self.in_channels}, H, W] in 0..1"
            )
        for layer in self:
            image = layer(image)
        return image
