"""A tiny edge detector: 59 thousand weights, three levels and their fusion.

Source: Soria et al., "Tiny and Efficient Model for the Edge Detection Generalization" (2023), TEED. The annotator
takes the mean of the three levels and the fusion, as other packs do; the paper takes the fusion alone.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .hed import mean_of_sides
from .network import check_size, network


def smish(x: Tensor) -> Tensor:
    """Wang et al., "Smish: A Novel Activation Function for Deep Learning Methods" (2022)."""
    return x * torch.log1p(x.sigmoid()).tanh()


class TwoConvs(nn.Module):
    """Two 3x3 convolutions; the first may halve, the last may end without an activation."""

    def __init__(self, c_in: int, c_out: int, stride: int, *, activate_last: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1)
        self.activate_last = activate_last

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2(smish(self.conv1(x)))
        return smish(x) if self.activate_last else x


class DenseLayer(nn.Module):
    """Two 3x3 convolutions, averaged with the features that are handed past them."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        # a border of two before, none after: the size comes out as it went in
        self.conv1 = nn.Conv2d(c_in, c_out, 3, padding=2)
        self.conv2 = nn.Conv2d(c_out, c_out, 3)

    def forward(self, x: Tensor, past: Tensor) -> Tensor:
        return (self.conv2(smish(self.conv1(smish(x)))) + past) / 2


class Projection(nn.Module):
    """A 1x1 convolution."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Enlarge(nn.Module):
    """`doublings` of a level's features down to one plane at the size of the picture: 1x1, activation, doubling."""

    WIDTH = 16

    def __init__(self, c_in: int, doublings: int) -> None:
        super().__init__()
        kernel = 2**doublings
        layers: dict[str, nn.Module] = {}
        for step in range(doublings):
            width = 1 if step == doublings - 1 else self.WIDTH
            layers[str(3 * step)] = nn.Conv2d(c_in, width, 1)
            layers[str(3 * step + 2)] = nn.ConvTranspose2d(width, width, kernel, stride=2, padding=(kernel - 2) // 2)
            c_in = width
        self.features = nn.ModuleDict(layers)

    def forward(self, x: Tensor) -> Tensor:
        layers = list(self.features.values())
        for mix, double in zip(layers[::2], layers[1::2], strict=True):
            x = double(smish(mix(x)))
        return x


class Fusion(nn.Module):
    """Three edge maps to one: depthwise convolutions whose 24 planes are added up."""

    MAPS = 3
    PLANES = 24

    def __init__(self) -> None:
        super().__init__()
        self.DWconv1 = nn.Conv2d(self.MAPS, self.PLANES, 3, padding=1, groups=self.MAPS)
        self.DWconv2 = nn.Conv2d(self.PLANES, self.PLANES, 3, padding=1, groups=self.PLANES)

    def forward(self, maps: Tensor) -> Tensor:
        first = self.DWconv1(smish(maps))
        second = self.DWconv2(smish(first))
        return smish((first + second).sum(dim=1, keepdim=True))


@network(
    "teed",
    file="7_model.pth",
    url="https://huggingface.co/bdsqlsz/qinglong_controlnet-lllite/resolve/main/Annotators/7_model.pth",
    size=246_000,
    licence="MIT (TEED)",
    sha256="b9037964149c55156c6adbffdfbd7e8ca7d2ef2a4d90573520efa7f3a1aacf06",
)
@network(
    "mteed",
    file="MTEED.pth",
    url="https://huggingface.co/TheMistoAI/MistoLine/resolve/main/Anyline/MTEED.pth",
    size=246_000,
    licence="that of MistoLine; see its page",
    sha256="a3c2d8a8ce9422555c787160bd46362d761325a565333c0e3f6a53e0bae2abdb",
)
class TEED(nn.Module):
    """[B, 3, h, w] in 0..1 -> soft edges [B, 1, h, w], white on black in 0..1."""

    multiple = 4  # two halvings

    def __init__(self) -> None:
        super().__init__()
        self.block_1 = TwoConvs(3, 16, stride=2, activate_last=True)
        self.block_2 = TwoConvs(16, 32, stride=1, activate_last=False)
        self.dblock_3 = nn.ModuleDict({"denselayer1": DenseLayer(32, 48)})
        self.side_1 = Projection(16, 32, stride=2)
        self.pre_dense_3 = Projection(32, 48, stride=1)
        self.up_block_1 = Enlarge(16, 1)
        self.up_block_2 = Enlarge(32, 1)
        self.up_block_3 = Enlarge(48, 2)
        self.block_cat = Fusion()

    def forward(self, image: Tensor) -> Tensor:
        check_size("teed", image, self.multiple)
        half = self.block_1(image.to(next(self.parameters())) * 255)
        half_deeper = self.block_2(half)
        quarter = F.max_pool2d(half_deeper, 3, stride=2, padding=1)
        deepest = self.dblock_3["denselayer1"](quarter + self.side_1(half), self.pre_dense_3(quarter))
        maps = [self.up_block_1(half), self.up_block_2(half_deeper), self.up_block_3(deepest)]
        fused = self.block_cat(torch.cat(maps, dim=1))
        return mean_of_sides([*maps, fused], image.shape[2:])
