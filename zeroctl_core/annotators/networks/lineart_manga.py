"""The lines of a manga page without its screen tones: a deep residual U-Net on grey.

Source: Li, Liu and Wong, "Deep Extraction of Manga Structural Lines" (2017), as the released erika of
MangaLineExtraction_PyTorch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from .network import check_size, network

LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601, the grey of OpenCV."""

Scale = Literal["same", "half", "double"]


@dataclass(frozen=True)
class StageSpec:
    """`repeats` residual blocks; `half` halves in the last of them, `double` doubles in the first."""

    c_in: int
    c_out: int
    repeats: int
    scale: Scale


STAGES = (
    StageSpec(1, 24, 2, "same"),
    StageSpec(24, 48, 3, "half"),
    StageSpec(48, 96, 5, "half"),
    StageSpec(96, 192, 7, "half"),
    StageSpec(192, 384, 12, "half"),
    StageSpec(384, 192, 7, "double"),
    StageSpec(192, 96, 5, "double"),
    StageSpec(96, 48, 3, "double"),
    StageSpec(48, 24, 2, "double"),
    StageSpec(24, 16, 2, "same"),
)


class NormedConv(nn.Module):
    """Batch norm, leaky ReLU, convolution; then the doubling where there is one."""

    def __init__(self, c_in: int, c_out: int, kernel: int, scale: Scale = "same") -> None:
        super().__init__()
        self.scale = scale
        stride = 2 if scale == "half" else 1
        self.model = nn.ModuleDict(
            {
                "0": nn.BatchNorm2d(c_in, eps=1e-3),
                "2": nn.Conv2d(c_in, c_out, kernel, stride=stride, padding=kernel // 2),
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        return doubled(self.model["2"](F.leaky_relu(self.model["0"](x), 0.2)), self.scale)


class Shortcut(nn.Module):
    """A 1x1 convolution, where a block changes width or size."""

    def __init__(self, c_in: int, c_out: int, scale: Scale) -> None:
        super().__init__()
        self.scale = scale
        self.model = nn.ModuleDict({"0": nn.Conv2d(c_in, c_out, 1, stride=2 if scale == "half" else 1)})

    def forward(self, x: Tensor) -> Tensor:
        return doubled(self.model["0"](x), self.scale)


class Block(nn.Module):
    """Two convolutions around a shortcut."""

    def __init__(self, c_in: int, c_out: int, scale: Scale) -> None:
        super().__init__()
        self.conv1 = NormedConv(c_in, c_out, 3, scale)
        self.residual = NormedConv(c_out, c_out, 3)
        self.shortcut = nn.Identity() if c_in == c_out and scale == "same" else Shortcut(c_in, c_out, scale)

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.residual(self.conv1(x))


class Stage(nn.Module):
    """The residual blocks of one width."""

    def __init__(self, spec: StageSpec) -> None:
        super().__init__()
        scales: list[Scale] = ["same"] * spec.repeats
        scales[-1 if spec.scale == "half" else 0] = spec.scale
        widths = [spec.c_in] + [spec.c_out] * spec.repeats
        self.model = nn.Sequential(*(Block(widths[i], widths[i + 1], scale) for i, scale in enumerate(scales)))

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


def doubled(x: Tensor, scale: Scale) -> Tensor:
    """Every pixel four times where the scale says so."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest") if scale == "double" else x


def grey(image: Tensor) -> Tensor:
    """[B, 3, h, w] in 0..1 -> [B, 1, h, w] in 0..255, whole numbers: the net was trained on 8-bit grey."""
    luma = (image * image.new_tensor(LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    return luma.mul(255).round()


@network(
    "lineart_manga",
    file="erika.pth",
    url="https://huggingface.co/lllyasviel/Annotators/resolve/main/erika.pth",
    size=173_000_000,
    licence="MIT (MangaLineExtraction_PyTorch)",
    sha256="badbd6baf013cefbd98993307b02cc14a26c770d067416e4fdecc8720b88feeb",
)
class LineartMangaNet(nn.Module):
    """[B, 3, h, w] in 0..1 -> dark lines on white, [B, 1, h, w] in 0..1."""

    multiple = 16  # four halvings

    def __init__(self) -> None:
        super().__init__()
        for number, spec in enumerate(STAGES):
            self.add_module(f"block{number}", Stage(spec))
        self.conv15 = NormedConv(STAGES[-1].c_out, 1, kernel=1)

    def forward(self, image: Tensor) -> Tensor:
        check_size("lineart_manga", image, self.multiple)
        x = grey(image.to(next(self.parameters())))
        skips: list[Tensor] = []
        for number, spec in enumerate(STAGES):
            x = self.get_submodule(f"block{number}")(x)
            if spec.scale == "double":
                x = x + skips.pop()
            elif STAGES[number + 1 :] and STAGES[number + 1].scale == "half":
                skips.append(x)
        return (self.conv15(x) / 255).clamp(0, 1)
