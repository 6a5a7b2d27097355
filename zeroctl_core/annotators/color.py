"""A grid of coloured squares: where which colour goes, and nothing else."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .annotator import annotator
from .params import Choice, Param
from .pictures.cubic import cubic_taps
from .pictures.pixels import from_uint8, to_uint8

PARAMS = (
    Param(
        "grid",
        64,
        range=(1, 512),
        step=1,
        help="Side of a square in pixels. The T2I colour adapter was trained with 64 in pictures of 512. Squares are "
        "slightly larger where a side of the picture is not a multiple; a smaller picture is one square.",
    ),
    Choice(
        "method",
        ("cubic", "area"),
        help="Where a square's colour comes from. cubic: the 16 pixels at its centre, as the T2I colour adapter was "
        "trained. area: the mean of the whole square, which is less noisy.",
    ),
)


@annotator(
    "color",
    net_names=("color", "colour"),
    params=PARAMS,
    title="Color Grid",
    summary="The picture as large squares of one colour each, for the T2I colour adapter and palette ControlNets.",
)
def color(image: Tensor, grid: int, method: str) -> Tensor:
    """Shrink to one pixel a square, and enlarge that without smoothing.

    [B, 3, H, W] in 0..1  ->  [B, 3, H, W] in 0..1, 8 bits deep

    Source: `get_cond_color` of T2I-Adapter: `cv2.resize` to side // 64 with INTER_CUBIC, back with INTER_NEAREST.
    The cubic has OpenCV's four taps (a = -0.75, not widened for shrinking) and reads no other pixels, so that the
    colours are the same to one level whatever OpenCV is installed. Where squares meet is counted in whole numbers;
    OpenCV may be a pixel off.
    """
    height, width = image.shape[2:]
    squares = max(1, height // int(grid)), max(1, width // int(grid))
    if method == "cubic":
        colors = _cubic(image, squares)
    else:
        # on the CPU, wherever the image is: a GPU sums in another order
        planes = torch.from_numpy(to_uint8(image)).movedim(-1, 1).float()
        colors = functional.interpolate(planes, squares, mode="area").movedim(1, -1).numpy()
    levels = colors.round().clip(0, 255).astype(np.uint8)
    down, across = (np.bincount(np.arange(side) * n // side) for side, n in zip((height, width), squares, strict=True))
    return from_uint8(np.repeat(np.repeat(levels, across, axis=2), down, axis=1), image.device)


def _cubic(image: Tensor, squares: tuple[int, int]) -> np.ndarray:
    """[B, C, H, W] -> [B, squares down, squares across, C] levels, float64."""
    (rows, down), (columns, across) = (_taps(*sides) for sides in zip(image.shape[2:], squares, strict=True))
    pixels = to_uint8(image[:, :, torch.from_numpy(rows.ravel())][:, :, :, torch.from_numpy(columns.ravel())])
    taps = pixels.reshape((len(image), squares[0], 4, squares[1], 4, image.shape[1])).astype(np.float64)
    return np.einsum("bicjdk,ic,jd->bijk", taps, down, across)


def _taps(side: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The pixels [count, 4] that make each of `count` pixels of a side, and their shares."""
    return cubic_taps((np.arange(count) + 0.5) * side / count - 0.5, side)
