"""Line drawings of photographs: a generator that goes down twice, through three residual blocks, and up twice.

Source: Chan, Durand and Isola, "Learning to Generate Line Drawings that Convey Geometry and Semantics" (2022), the
generator of informative drawings. Its instance norms have no weights, so the keys count layers that leave no trace.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .network import check_size, network

WIDTHS = (64, 128, 256)
RESIDUAL_BLOCKS = 3
ANNOTATORS_REPO = "https://huggingface.co/lllyasviel/Annotators/resolve/main/"
LICENCE = "MIT (informative drawings)"


class Residual(nn.Module):
    """Two 3x3 convolutions around what passes through unchanged."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_block = nn.ModuleDict({place: nn.Conv2d(channels, channels, 3) for place in ("1", "5")})

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu(F.instance_norm(self.conv_block["1"](mirrored(x, 1))))
        return x + F.instance_norm(self.conv_block["5"](mirrored(inner, 1)))


def mirrored(x: Tensor, border: int) -> Tensor:
    """A border that mirrors the picture, so that its edge is not drawn as a line."""
    return F.pad(x, (border,) * 4, mode="reflect")


@network(
    "lineart_realistic",
    file="sk_model.pth",
    url=f"{ANNOTATORS_REPO}sk_model.pth",
    size=17_200_000,
    licence=LICENCE,
    sha256="c686ced2a666b4850b4bb6ccf0748031c3eda9f822de73a34b8979970d90f0c6",
)
@network(
    "lineart_coarse",
    file="sk_model2.pth",
    url=f"{ANNOTATORS_REPO}sk_model2.pth",
    size=17_200_000,
    licence=LICENCE,
    sha256="30a534781061f34e83bb9406b4335da4ff2616c95d22a585c1245aa8363e74e0",
)
class LineartGenerator(nn.Module):
    """[B, 3, h, w] in 0..1 -> dark lines on white, [B, 1, h, w] in 0..1."""

    multiple = 8  # two halvings; at 4 pixels the deepest layer is one, which has no border to mirror

    def __init__(self) -> None:
        super().__init__()
        fine, middle, coarse = WIDTHS
        self.model0 = nn.ModuleDict({"1": nn.Conv2d(3, fine, 7)})
        self.model1 = nn.ModuleDict(
            {
                "0": nn.Conv2d(fine, middle, 3, stride=2, padding=1),
                "3": nn.Conv2d(middle, coarse, 3, stride=2, padding=1),
            }
        )
        self.model2 = nn.Sequential(*(Residual(coarse) for _ in range(RESIDUAL_BLOCKS)))
        self.model3 = nn.ModuleDict(
            {
                "0": nn.ConvTranspose2d(coarse, middle, 3, stride=2, padding=1, output_padding=1),
                "3": nn.ConvTranspose2d(middle, fine, 3, stride=2, padding=1, output_padding=1),
            }
        )
        self.model4 = nn.ModuleDict({"1": nn.Conv2d(fine, 1, 7)})

    def forward(self, image: Tensor) -> Tensor:
        check_size("lineart", image, self.multiple)
        first, last = self.model0["1"], self.model4["1"]
        x = F.relu(F.instance_norm(first(mirrored(image.to(next(self.parameters())), 3))))
        for down in self.model1.values():
            x = F.relu(F.instance_norm(down(x)))
        x = self.model2(x)
        for up in self.model3.values():
            x = F.relu(F.instance_norm(up(x)))
        return last(mirrored(x, 3)).sigmoid()
