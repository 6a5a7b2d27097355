"""Shuffle: the picture bent along smooth noise, so that its colours stay and its composition does not."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .annotator import annotator
from .params import Param
from .pictures.cubic import cubic_taps
from .pictures.pixels import in_range

PARAMS = (
    Param(
        "seed",
        0,
        range=(0, 2**32 - 1),
        step=1,
        help="The seed of the noise; 0 is a seed like any other. All pictures of a batch are bent in the same way.",
    ),
    Param(
        "f",
        256,
        range=(32, 1024),
        step=1,
        help="Size of the swirls in pixels; the Shuffle ControlNet was released with 256, for pictures of about 512.",
    ),
)


@annotator(
    "shuffle",
    net_names=("shuffle",),
    params=PARAMS,
    title="Content Shuffle",
    aliases=("shuffle",),
    summary="The picture bent along smooth noise, for the Shuffle ControlNet: it keeps colours and textures, and loses "
    "where things are.",
)
def shuffle(image: Tensor, seed: int, f: int) -> Tensor:
    """Content shuffle, with the noise that the released code draws after `numpy.random.seed(seed)`.

    [B, 3, H, W] in 0..1  ->  [B, 3, H, W] in 0..1

    Source: `ContentShuffleDetector` and `make_noise_disk` of the released annotator/shuffle: two fields of noise, x
    first, spread over the whole picture. Its remap is computed in float32 here, without OpenCV, which up to version 4
    moves pixels by whole 32nds only.
    """
    batch, _, height, width = image.shape
    random = np.random.RandomState(int(seed))
    fields = [_smooth_noise(random, height, width, int(f)) for _ in "xy"]
    # noise in 0..1 reaches from the first pixel to the last: in -1..1 it is grid_sample's own unit
    grid = torch.from_numpy(np.stack(fields, axis=-1) * 2 - 1).to(image.device, torch.float32)
    bent = functional.grid_sample(
        in_range(image),
        grid.expand(batch, -1, -1, -1),
        mode="bilinear",
        padding_mode="border",
        align_corners=True,
    )
    return bent.clamp(0, 1)  # shares that add up to 1.0000001


def _smooth_noise(random: np.random.RandomState, height: int, width: int, f: int) -> np.ndarray:
    """A field of noise that reaches from 0 to 1; its swirls are `f` pixels large. -> [height, width] float64"""
    samples = random.uniform(size=(height // f + 2, width // f + 2))
    field = _enlarge(len(samples), height, f) @ samples @ _enlarge(samples.shape[1], width, f).T
    field -= field.min()
    # one pixel alone has no range
    field /= field.max() or 1
    return field


def _enlarge(count: int, size: int, f: int) -> np.ndarray:
    """Bicubic enlargement of `count` samples to `size + 2 * f` pixels, `f` cut off at each end. -> [size, count]

    Pixel centres lie at halves, as in OpenCV's INTER_CUBIC.
    """
    samples, shares = cubic_taps((np.arange(f, f + size) + 0.5) * count / (size + 2 * f) - 0.5, count)
    weights = np.zeros((size, count))
    np.add.at(weights, (np.arange(size)[:, None], samples), shares)
    return weights
