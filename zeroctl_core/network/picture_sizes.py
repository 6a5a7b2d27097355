"""What SDXL reads beside the prompt: how large a picture was, where it was cut, and how large it is."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .blocks import timestep_embedding

SIZE_CHANNELS = 256
"""Width of the sinusoids of one number; six of them stand behind the pooled prompt, 1280 + 1536 = 2816."""


class PictureSizes(NamedTuple):
    """In pixels, what goes down before what goes across, in the order that the network reads.

    Source: Podell et al., arXiv 2307.01952, 2.2, and the released conditioner.
    """

    original: tuple[int, int]  # height and width of the file's picture
    crop: tuple[int, int]  # what was cut off at the top and at the left, in pixels of `target`
    target: tuple[int, int]  # height and width that the network sees

    @property
    def numbers(self) -> tuple[int, ...]:
        """The six numbers, as diffusers' time ids."""
        return (*self.original, *self.crop, *self.target)


def sizes_of_crop(original: tuple[int, int], box: tuple[int, int, int, int], target: tuple[int, int]) -> PictureSizes:
    """The sizes of a part of a picture, (top, left, height, width) in its own pixels, that is resized to `target`.

    SDXL counts the crop in the picture that is resized first and cut then.
    """
    top, left, height, width = box
    return PictureSizes(original, (round(top * target[0] / height), round(left * target[1] / width)), target)


def with_sizes(pooled: Tensor, sizes: Tensor) -> Tensor:
    """y of SDXL: pooled prompts [B, P] and the numbers of `PictureSizes` [B, 6] -> [B, P + 1536].

    The sinusoids are computed in float32 and cast to the dtype of the pooled prompts.
    """
    embedding = timestep_embedding(sizes.flatten(), SIZE_CHANNELS).reshape(len(sizes), -1)
    return torch.cat((pooled, embedding.to(pooled)), dim=1)
