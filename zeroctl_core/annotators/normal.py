"""A normal map from a depth map: the slope of the depth, seen as colours."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from .annotator import annotator
from .colors.normal_orders import ORDERS, reorder
from .params import Choice, Param, Switch
from .pictures.pixels import from_uint8

PARAMS = (
    Param(
        "strength",
        6.283,
        range=(0.1, 15.7),
        step=0.001,
        help="How flat the surface is: the part of a normal that faces the viewer, relative to the slope of the depth. "
        "Smaller values make steeper normals. The released code has 2 pi.",
    ),
    Param(
        "background",
        0.4,
        range=(0.0, 1.0),
        step=0.01,
        help="The normal faces the viewer where the depth is below this, counted from 0 at the picture's farthest "
        "point to 1 at its nearest. 0 keeps all. The released normal demo has 0.4.",
    ),
    Choice(
        "order",
        tuple(ORDERS),
        help="Which way a surface faces where a colour is bright. bae: red left, green top, blue front, for "
        "control_v11p_sd15_normalbae. midas_cn10: red front, green top, blue left, for control_sd15_normal of "
        "ControlNet 1.0. opengl: red right, green top, blue front. directx: red right, green bottom, blue front.",
    ),
    Param(
        "scale",
        255.0,
        range=(1.0, 10000.0),
        step=1.0,
        help="What white is worth: the depth is multiplied by this before its slope per pixel is taken. At 255 a slope "
        "of 1 is one 8-bit level per pixel, and white lies 325 pixels before black, which suits a subject about 650 "
        "pixels wide; raise it in proportion for larger pictures. ControlNet 1.0 was trained on MiDaS's own values, "
        "which often span a thousand and more: try 1000 for midas_cn10.",
        advanced=True,
    ),
    Switch(
        "invert",
        False,
        help="For a depth map whose near is black, as Blender and Depth Anything 3 make them.",
        added=True,
    ),
)


@annotator(
    "normal",
    union_type=4,
    net_names=("normal",),
    params=PARAMS,
    needs=("cv2",),
    takes="depth",
    resizable=False,
    title="Normals from Depth",
    aliases=("normal map", "normalbae"),
    summary="A normal map from a depth map whose near is white, in the colours that the normal ControlNets expect (BAE "
    "or MiDaS) or in OpenGL or DirectX order.",
    transparent="black",
)
def normal(image: Tensor, strength: float, background: float, order: str, scale: float, invert: bool) -> Tensor:
    """Normals of the surface z = depth * scale, as the released ControlNets were trained on.

    [B, 3, H, W] depth in 0..1, near is 1 (with `invert` 0), not rounded to 8 bits; the mean of the channels counts
    ->  [B, 3, H, W] in 0..1, 8 bits deep, channels by `order` (see `normal_orders`)

    Source: the released annotator/midas: (Sobel x, Sobel y, a), normalised, 127.5 + 127.5 n cut to whole numbers, so
    that flat is 127. It takes the slope of the network's raw output, ours that of 0..1 times `scale`.

    The default of `scale`: OpenCV's 3 x 3 Sobel has a gain of 8, so that white lies 8 * scale / strength pixels before
    black, 325 with 255, which makes a ball of 650 pixels round. Raw MiDaS has no fixed range to copy (855..3246 in
    isl-org/MiDaS issue 42), and the normals made of it are steeper than real ones: "neither reasonable nor
    physically correct" says the README of ControlNet 1.1, whose order is the default.

    All orders hold the same normals: those of bae, reordered. Their flat is 128 where an axis is turned round.
    """

    depth = image.float().clamp(0, 1)
    red, green, blue = (1 - depth if invert else depth).unbind(1)
    # a mean that is exact where the three are equal
    planes = ((red + (green - red + blue - red) / 3) * scale).cpu().numpy()
    return from_uint8(
        np.stack([reorder(_normals(plane, strength, background), "bae", order) for plane in planes]), image.device
    )


def _normals(depth: np.ndarray, strength: float, background: float) -> np.ndarray:
    """[H, W] float32, near is large -> [H, W, 3] uint8: left, top, front."""
    import cv2

    # nearer to the right means that the surface looks to the left; so for y, which grows downwards
    left = cv2.Sobel(depth, cv2.CV_32F, 1, 0, ksize=3)
    top = cv2.Sobel(depth, cv2.CV_32F, 0, 1, ksize=3)
    above = depth - depth.min()
    span = above.max()
    far = above / (span if span > 0 else 1) < background
    left[far] = 0
    top[far] = 0
    front = np.float32(strength)
    length = np.sqrt(left * left + top * top + front * front)
    return np.stack([(axis / length * 127.5 + 127.5).astype(np.uint8) for axis in (left, top, front)], axis=-1)
