"""The resolution at which a picture is annotated: the short side in pixels, the proportions kept."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .check import check_picture
from .opencv import check_opencv
from .pixels import from_uint8, to_uint8

RESOLUTIONS = (64, 16384)
"""The smallest and the largest resolution; 0 is allowed beside them."""
LONGEST_SIDE, MOST_PIXELS = 16384, 16384**2 // 4
"""So large may a picture become; its three channels are then 0.8 GB of floats."""


def size_at_resolution(height: int, width: int, resolution: int) -> tuple[int, int]:
    """(height, width) with the short side at `resolution` and the proportions kept; 0 keeps the size.

    The released code rounds both sides to 64, which bends the proportions by up to 32 pixels a side; we do not,
    because nothing here needs it: networks that need it are padded, and their maps cropped.

    Raises `ValueError` for a resolution that is neither 0 nor in 64..16384, and for a size that is too large.
    """
    smallest, largest = RESOLUTIONS
    if resolution != 0 and not smallest <= resolution <= largest:
        raise ValueError(
            f"resolution is {resolution}; expected the short side in pixels, {smallest} to {largest}, "
            "or 0 to keep the image's size"
        )
    scale = resolution / min(height, width) if resolution else 1
    size = round(height * scale), round(width * scale)
    check_size(*size)
    return size


def check_size(height: int, width: int) -> None:
    """Raises `ValueError` for a size in pixels that no picture here may have, with a resolution that would fit."""
    if max(height, width) <= LONGEST_SIDE and height * width <= MOST_PIXELS:
        return
    scale = min(LONGEST_SIDE / max(height, width), math.sqrt(MOST_PIXELS / (height * width)))
    fitting = int(min(height, width) * scale)
    remedy = f"a resolution up to {fitting} fits" if fitting >= RESOLUTIONS[0] else "crop the picture"
    raise ValueError(
        f"the picture would be {height} x {width} pixels (height x width); the long side may have {LONGEST_SIDE} and "
        f"the picture {MOST_PIXELS} pixels: {remedy}"
    )


def hint_size(height: int, width: int, canvas_height: int, canvas_width: int, mode: str = "crop") -> int:
    """The resolution whose annotation needs no resizing on the canvas ("pixel perfect").

    Source: round(k * short side), k the larger of the two ratios canvas to image (`fit`: the smaller), as A1111's
    ControlNet extension and comfyui_controlnet_aux have it. All sides are in pixels.

    Raises `ValueError` for a side below 1, and where the resolution would be one that no annotator takes.
    """
    if min(height, width, canvas_height, canvas_width) < 1:
        sizes = f"the image is {height} x {width} and the canvas {canvas_height} x {canvas_width} pixels"
        raise ValueError(f"{sizes}; expected at least 1 a side")
    ratios = canvas_height / height, canvas_width / width
    resolution = round((min if mode == "fit" else max)(ratios) * min(height, width))
    smallest, largest = RESOLUTIONS
    if not smallest <= resolution <= largest:
        raise ValueError(
            f"an image of {height} x {width} pixels on a canvas of {canvas_height} x {canvas_width} by {mode} needs a "
            f"resolution of {resolution}; annotators take {smallest} to {largest}: crop the image or change the canvas"
        )
    return resolution


def at_resolution(image: Tensor, resolution: int, *, in_floats: bool = False) -> Tensor:
    """Resize so that the short side is `resolution` pixels; 0, or the size it has, hands the image on untouched.

    [B, 3, H, W] in 0..1  ->  [B, 3, h, w] float32 in 0..1, 8 bits deep; `in_floats` for depth, which 8 bits make stairs

    Source: `resize_image` of the released annotator/util.py without its rounding to 64: AREA to shrink, LANCZOS4 to
    grow. CUBIC, which other packs use, gives other pixels in OpenCV 4 than in 5.

    Raises what `size_at_resolution` and `check_picture` raise, and `ImportError` without OpenCV.
    """
    height, width = image.shape[2:]
    size = (height, width) if resolution == 0 else size_at_resolution(height, width, resolution)
    if size == (height, width):
        return image
    check_picture("resolution", image)
    check_opencv("resolution")
    import cv2

    filter_ = cv2.INTER_LANCZOS4 if size[0] * size[1] > height * width else cv2.INTER_AREA
    pictures = image.float().clamp(0, 1).movedim(1, -1).cpu().numpy() if in_floats else to_uint8(image, by_opencv=True)
    resized = np.stack([cv2.resize(picture, (size[1], size[0]), interpolation=filter_) for picture in pictures])
    if in_floats:
        return torch.from_numpy(resized).movedim(-1, 1).clamp(0, 1).to(image.device)
    return from_uint8(resized, image.device)


def mask_at(mask: Tensor, image: Tensor) -> Tensor:
    """A mask at the batch and the size of an image: [B or 1, H, W], [B, C, h, w] -> [B, 1, h, w].

    Bilinear, as in the released gradio_inpaint.py before it cuts at one half; a mask that shrinks by area, which no
    line falls through.

    Raises `ValueError` for a number of masks that is neither 1 nor the number of images.
    """
    if len(mask) not in (1, len(image)):
        raise ValueError(f"there are {len(mask)} masks for {len(image)} images; expected one for all, or one each")
    planes = mask[:, None].float()
    if planes.shape[2:] != image.shape[2:]:
        shrinks = all(side <= own for side, own in zip(image.shape[2:], planes.shape[2:], strict=True))
        planes = F.interpolate(planes, image.shape[2:], mode="area" if shrinks else "bilinear")
    return planes.expand(len(image), -1, -1, -1)
