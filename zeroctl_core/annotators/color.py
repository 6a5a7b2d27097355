"""A grid of coloured squares: where which colour goes, and nothing else."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .annotator import annotator
from .params import Choice, Param
from .pixels import from_uint8, to_uint8

PARAMS = (
    Param(
        "grid",
        64,
        1,
        512,
        1,
        "Side of a square in pixels. The T2I color adapter was trained with 64 in pictures of 512. A side that is no "
        "multiple gets slightly larger squares; a picture that is smaller is one square.",
    ),
    Choice(
        "method",
        ("cubic", "area"),
        "Where a square's colour comes from. cubic: the 16 pixels at its centre, as the T2I color adapter was trained. "
        "area: the mean of the whole square, which is less noisy.",
    ),
)


@annotator(
    "color",
    params=PARAMS,
    title="Color Grid",
    summary="The picture as large squares of one colour each, for the T2I color adapter and palette ControlNets.",
)
def color(image: Tensor, grid: int, method: str) -> Tensor:
    """Shrink to one pixel a square, and enlarge that without smoothing.

    [B, 3, H, W] in 0..1  ->  [B, 3, H, W] in 0..1, 8 bits deep

    Source: `get_cond_color` of T2I-Adapter: `cv2.resize` to side // 64 with INTER_CUBIC, back with INTER_NEAREST.
    torch's bicubic has the same four taps (a = -0.75, not widened for shrinking), so that the colours are the same to
    one level whatever OpenCV is installed. Where squares meet is counted in whole numbers; OpenCV may be a pixel off.
    """
    pixels = to_uint8(image)
    height, width = pixels.shape[1:3]
    squares = max(1, height // int(grid)), max(1, width // int(grid))
    # on the CPU, wherever the image is: a GPU sums in another order
    planes = torch.from_numpy(pixels).movedim(-1, 1).float().contiguous()
    if method == "cubic":
        small = functional.interpolate(planes, squares, mode="bicubic", align_corners=False)
    else:
        small = functional.interpolate(planes, squares, mode="area")
    colors = small.round().clamp(0, 255).to(torch.uint8).movedim(1, -1).numpy()
    rows = np.arange(height) * squares[0] // height
    columns = np.arange(width) * squares[1] // width
    return from_uint8(colors[:, rows[:, None], columns], image.device)
