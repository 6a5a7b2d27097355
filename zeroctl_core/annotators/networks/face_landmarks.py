"""The 68 points of one face: a small network of separable convolutions, of face-api.

Source: faceFeatureExtractor/ and faceLandmarkNet/ of face-api, which publishes the weights for TensorFlow.js.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from .mlsd import TrailingPadConv2d
from .network import PublishedFile, network

SIDE = 112
"""Pixels of the square that the network sees."""
POINTS = 68
WIDTHS = (32, 64, 128, 256)
MEAN = (122.782, 117.001, 104.298)
"""Of red, green and blue in 0..255; taken away before the division by 255."""

ADDRESS = "https://cdn.jsdelivr.net/npm/@vladmandic/face-api@1.7.15/model/"


class SeparableConv(nn.Module):
    """A 3 x 3 of each channel by itself, then a 1 x 1: [B, channels, h, w] -> [B, out, h / stride, w / stride]."""

    def __init__(self, channels: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = (
            TrailingPadConv2d(channels, channels, 3, 2, groups=channels, bias=False)
            if stride == 2
            else nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        )
        self.pointwise = nn.Conv2d(channels, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.pointwise(self.depthwise(x))
        return output


class DenseBlock(nn.Module):
    """Halves the sides; each further convolution gets the sum of all before it."""

    def __init__(self, first: nn.Module, out: int) -> None:
        super().__init__()
        self.first = first
        self.rest = nn.ModuleList(SeparableConv(out, out) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        total = F.relu(self.first(x))
        for conv in self.rest:
            total = total + conv(F.relu(total))
        return F.relu(total)


def weights_of_list(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The published weights under our names: height, width, in, out -> out, in, height, width. Others keep theirs."""
    rest = dict(tensors)
    weights = {key: _turned(key, rest.pop(name)) for key, name in published_names() if name in rest}
    return weights | rest


def published_names() -> Iterator[tuple[str, str]]:
    """Our name and the published one of every weight."""
    for block in range(len(WIDTHS)):
        for conv in range(4):
            ours = f"blocks.{block}." + (f"rest.{conv - 1}" if conv else "first")
            theirs = f"dense{block}/conv{conv}"
            if block == conv == 0:
                yield f"{ours}.weight", f"{theirs}/filters"
                yield f"{ours}.bias", f"{theirs}/bias"
                continue
            yield f"{ours}.depthwise.weight", f"{theirs}/depthwise_filter"
            yield f"{ours}.pointwise.weight", f"{theirs}/pointwise_filter"
            yield f"{ours}.pointwise.bias", f"{theirs}/bias"
    yield "places.weight", "fc/weights"
    yield "places.bias", "fc/bias"


def _turned(key: str, weight: Tensor) -> Tensor:
    if weight.ndim == 2:
        return weight.T.contiguous()
    if weight.ndim != 4:
        return weight
    # of a depthwise convolution, the third dimension counts the channels and the fourth is 1
    return weight.permute((2, 3, 0, 1) if "depthwise" in key else (3, 2, 0, 1)).contiguous()


@network(
    "face_landmarks",
    file="face_landmark_68_model-weights_manifest.json",
    url=f"{ADDRESS}face_landmark_68_model-weights_manifest.json",
    size=8_485,
    licence="MIT (face-api)",
    sha256="ca4886639f86e99b39fed0c155f81b63317225773bd9616716e887b0153389c9",
    beside=(
        PublishedFile(
            file="face_landmark_68_model.bin",
            url=f"{ADDRESS}face_landmark_68_model.bin",
            size=356_840,
            sha256="4611ef65c87d836d03d684b30eec4d195d8b219fa1dd58fc58945831c6b9299b",
        ),
    ),
    from_graph=weights_of_list,
)
class FaceLandmarks(nn.Module):
    """[B, 3, 112, 112] RGB in 0..1, in the parameters' type and on their device  ->  [B, 68, 2]

    x and y of the points as parts of the square, in the order of 300-W, which OpenPose's face begins with: jaw, brows,
    nose, eyes, lips, each from left to right in the picture. The face should be upright and fill the square.
    """

    def __init__(self) -> None:
        super().__init__()
        before = (3, *WIDTHS[:-1])
        self.blocks = nn.ModuleList(
            DenseBlock(SeparableConv(channels, out, 2) if index else TrailingPadConv2d(channels, out, 3, 2), out)
            for index, (channels, out) in enumerate(zip(before, WIDTHS, strict=True))
        )
        self.places = nn.Linear(WIDTHS[-1], 2 * POINTS)

    def forward(self, image: Tensor) -> Tensor:
        if image.shape[1:] != (3, SIDE, SIDE):
            raise ValueError(
                f"face_landmarks: the faces have the shape {tuple(image.shape)}; expected [B, 3, {SIDE}, {SIDE}]"
            )
        x = image - image.new_tensor(MEAN).div(255)[:, None, None]
        for block in self.blocks:
            x = block(x)
        return self.places(x.mean(dim=(2, 3))).reshape(-1, POINTS, 2)
