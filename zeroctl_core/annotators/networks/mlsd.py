"""M-LSD large: a map of straight lines from a picture. MobileNetV2 below, a pyramid of merged levels above.

Source: Gu et al. (2022), "Towards Light-weight and Real-time Line Segment Detection", figure 4, in the form of the
released mlsd_large_512_fp32.pth: the modules bear the names of its keys.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .network import check_size, network

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1))
"""MobileNetV2's table 2 up to 96 channels: expansion, channels, number of blocks, stride of the first."""

LEVELS = (1, 3, 6, 10, 13)
"""The last block of each stage; their outputs are what the pyramid merges."""

SKIPPED = 7
"""The head's first channels belong to losses of the training only; decoding reads from the next on."""


class TrailingPadConv2d(nn.Conv2d):
    """Stride 2 with zeros below and to the right only: the weights come from TensorFlow, which pads even sizes so."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(F.pad(input, (0, 1, 0, 1)))


def conv_norm_relu6(channels: int, out: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """MobileNetV2's convolution. The batch norm has the bias."""
    conv = (
        TrailingPadConv2d(channels, out, kernel, stride, groups=groups, bias=False)
        if stride == 2
        else nn.Conv2d(channels, out, kernel, padding=kernel // 2, groups=groups, bias=False)
    )
    return nn.Sequential(conv, nn.BatchNorm2d(out), nn.ReLU6(inplace=True))


def conv_norm_relu(channels: int, out: int, kernel: int, *, dilation: int = 1) -> nn.Sequential:
    """The pyramid's convolution, of the same size in and out."""
    conv = nn.Conv2d(channels, out, kernel, padding=dilation * (kernel // 2), dilation=dilation)
    return nn.Sequential(conv, nn.BatchNorm2d(out), nn.ReLU(inplace=True))


class InvertedResidual(nn.Module):
    """Widen, convolve each channel by itself, narrow; added to the input where the shapes agree."""

    def __init__(self, channels: int, out: int, *, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        widen = [conv_norm_relu6(channels, wide, 1)] if expansion > 1 else []
        self.conv = nn.Sequential(
            *widen,
            conv_norm_relu6(wide, wide, 3, stride=stride, groups=wide),
            nn.Conv2d(wide, out, 1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.adds = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return x + y if self.adds else y


class Backbone(nn.Module):
    """MobileNetV2 (Sandler et al. 2018) for four channels, without its last stages.

    [B, 4, h, w]  ->  16, 24, 32, 64 and 96 channels at 1/2, 1/4, 1/8, 1/16 and 1/16 of the size
    """

    def __init__(self) -> None:
        super().__init__()
        blocks: list[nn.Module] = [conv_norm_relu6(4, 32, 3, stride=2)]
        channels = 32
        for expansion, out, count, stride in STAGES:
            for index in range(count):
                first = index == 0
                blocks.append(InvertedResidual(channels, out, stride=stride if first else 1, expansion=expansion))
                channels = out
        self.features = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> list[Tensor]:
        levels = []
        for index, block in enumerate(self.features):
            x = block(x)
            if index in LEVELS:
                levels.append(x)
        return levels


class Merge(nn.Module):
    """Block type A: a fine level of the backbone beside the coarse one from below, 64 channels each.

    [B, fine, h, w] and [B, coarse, h / 2, w / 2] (`doubles`) or [B, coarse, h, w]  ->  [B, 128, h, w]
    """

    def __init__(self, fine: int, coarse: int, *, doubles: bool = True) -> None:
        super().__init__()
        self.conv1 = conv_norm_relu(coarse, 64, 1)
        self.conv2 = conv_norm_relu(fine, 64, 1)
        self.doubles = doubles

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        coarse = self.conv1(coarse)
        if self.doubles:
            # TensorFlow's network enlarges before the convolution and by pixel areas. The released annotators do it
            # after and corner to corner, and it is their lines that the ControlNets were trained on.
            coarse = F.interpolate(coarse, scale_factor=2.0, mode="bilinear", align_corners=True)
        return torch.cat((self.conv2(fine), coarse), dim=1)


class Refine(nn.Module):
    """Block type B: [B, 128, h, w] -> [B, 64, h, w]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = conv_norm_relu(128, 128, 3)
        self.conv2 = conv_norm_relu(128, 64, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(x + self.conv1(x))


class Predict(nn.Module):
    """Block type C: [B, 64, h, w] -> [B, 16, h, w]. The dilation lets a centre see the ends of its line."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = conv_norm_relu(64, 64, 3, dilation=5)
        self.conv2 = conv_norm_relu(64, 64, 3)
        self.conv3 = nn.Conv2d(64, 16, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(self.conv2(self.conv1(x)))


@network(
    "mlsd",
    file="mlsd_large_512_fp32.pth",
    url="https://huggingface.co/lllyasviel/Annotators/resolve/main/mlsd_large_512_fp32.pth",
    size=6_300_000,
    licence="Apache-2.0 (NAVER Corp.)",
    sha256="5696f168eb2c30d4374bbfd45436f7415bb4d88da29bea97eea0101520fba082",
)
class MLSDLarge(nn.Module):
    """[B, 3, h, w] RGB in 0..1, in the parameters' type and on their device  ->  [B, 9, h / 2, w / 2]

    Channel 0 is the logit of a line's centre, 1-4 are (x, y) of its start and its end relative to the
    centre, in pixels of this map. The other four are for the training.
    """

    multiple = 16  # four halvings, each undone by a doubling or kept

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.block15 = Merge(64, 96, doubles=False)
        self.block16 = Refine()
        self.block17 = Merge(32, 64)
        self.block18 = Refine()
        self.block19 = Merge(24, 64)
        self.block20 = Refine()
        self.block21 = Merge(16, 64)
        self.block22 = Refine()
        self.block23 = Predict()

    def forward(self, image: Tensor) -> Tensor:
        check_size("mlsd", image, self.multiple)
        # (RGB 0..255, 1) / 127.5 - 1: the plane of ones is divided like a colour, so that it is nearly -1
        ones = torch.full_like(image[:, :1], 1 / 127.5 - 1)
        half, quarter, eighth, sixteenth, deepest = self.backbone(torch.cat((image * 2 - 1, ones), dim=1))
        x = self.block16(self.block15(sixteenth, deepest))
        x = self.block18(self.block17(eighth, x))
        x = self.block20(self.block19(quarter, x))
        x = self.block22(self.block21(half, x))
        return self.block23(x)[:, SKIPPED:]
