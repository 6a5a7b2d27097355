"""A base whose encoders take microseconds, and pictures for it: what prepares many rows in no time."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from zeroctl_core.train.data import Prompts
from zeroctl_core.train.prepare.preparing import Drawing
from zeroctl_core.train.prepare.sample import Sample, TensorPicture

DRAWING = Drawing(size=(16, 16), annotator="canny")
HELD_OUT = 5


class ToyBase:
    """Latents are means of cells, contexts are drawn by the prompt's digits; remembers what it encoded."""

    encoders = ("toy autoencoder", "toy text encoder")

    def __init__(self) -> None:
        self.pictures, self.prompts = 0, 0

    def encode(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        self.pictures += len(pictures)
        mean = torch.nn.functional.avg_pool2d(pictures, 8)
        mean = torch.cat((mean, mean[:, :1]), dim=1)
        return mean, mean * 0.1 + 0.01

    def encode_prompts(self, prompts: list[str]) -> Prompts:
        self.prompts += len(prompts)
        seeds = [int(hashlib.sha256(prompt.encode()).hexdigest()[:12], 16) for prompt in prompts]
        return Prompts(torch.stack([torch.randn(3, 8, generator=torch.Generator().manual_seed(s)) for s in seeds]))


def toy_samples(n: int, seed: int = 0) -> list[Sample]:
    """Random pictures of 16x16, every one with a caption of its own."""
    pixels = torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    return [Sample(name=f"{i:04}", picture=TensorPicture(pixels[i]), caption=f"caption {i}") for i in range(n)]
