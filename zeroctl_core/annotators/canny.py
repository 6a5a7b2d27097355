"""Canny edges: white lines of one pixel on black."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from .annotator import annotator
from .params import Param
from .pictures.canny_edges import canny_edges
from .pictures.gaussian import gaussian_blur
from .pictures.pixels import grey_from_uint8, to_uint8

PARAMS = (
    Param("low", 100, range=(0, 255), step=1, help="An edge continues while its gradient is above this."),
    Param(
        "high",
        200,
        range=(0, 255),
        step=1,
        help="An edge starts where its gradient is above this. Of low and high the larger starts edges, whichever is "
        "which.",
    ),
    Param(
        "blur_sigma",
        0.0,
        range=(0.0, 10.0),
        step=0.1,
        help="Gaussian blur in pixels before the edges are looked for; 0 is none.",
    ),
)


@annotator(
    "canny",
    union_type=3,
    net_names=("canny", "edges", "edge", "mistoline"),
    params=PARAMS,
    needs=("cv2",),
    title="Canny Edges",
    aliases=("edge detection",),
    summary="White one pixel edges on black, as the released Canny ControlNets were trained on: OpenCV's Canny on RGB, "
    "no blur.",
    transparent="drawing",
)
def canny(image: Tensor, low: int, high: int, blur_sigma: float) -> Tensor:
    """Edges as the released ControlNets were trained on.

    [B, 3, H, W] in 0..1  ->  [B, 3, H, W], 0 or 1, three equal channels

    Source: the released annotator/canny: `cv2.Canny` on RGB (not on grey, not blurred), aperture 3, L1 gradient.
    `low` and `high` are exchanged where low is the larger, as in OpenCV and all peers.
    """
    pixels = to_uint8(image, by_opencv=True)
    edges = np.empty(pixels.shape[:3], np.uint8)
    for row, picture in enumerate(pixels):
        if blur_sigma > 0:
            picture = gaussian_blur(picture, blur_sigma)
        edges[row] = canny_edges(picture, int(low), int(high))
    return grey_from_uint8(edges, image.device)
