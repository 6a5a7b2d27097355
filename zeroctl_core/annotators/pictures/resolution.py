"""Bring an image to the size at which it is annotated."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..annotator import check_image
from .hint_size import size_at_resolution
from .opencv import check_opencv
from .pixels import from_uint8, to_uint8


def at_resolution(image: Tensor, resolution: int, *, in_floats: bool = False) -> Tensor:
    """Resize so that the short side is `resolution` pixels; 0, or the size it has, hands the image on untouched.

    [B, 3, H, W] in 0..1  ->  [B, 3, h, w] float32 in 0..1, 8 bits deep; `in_floats` for depth, which 8 bits make stairs

    Source: `resize_image` of the released annotator/util.py without its rounding to 64: AREA to shrink, LANCZOS4 to
    grow. CUBIC, which other packs use, gives other pixels in OpenCV 4 than in 5.

    Raises `ValueError` for a resolution or an image that is none, `ImportError` without OpenCV.
    """
    height, width = image.shape[2:]
    size = size_at_resolution(height, width, resolution)
    if size == (height, width):
        return image
    check_image("resolution", image)
    check_opencv("resolution")
    import cv2

    filter_ = cv2.INTER_LANCZOS4 if size[0] * size[1] > height * width else cv2.INTER_AREA
    pictures = image.float().clamp(0, 1).movedim(1, -1).cpu().numpy() if in_floats else to_uint8(image, by_opencv=True)
    resized = np.stack([cv2.resize(picture, (size[1], size[0]), interpolation=filter_) for picture in pictures])
    if in_floats:
        return torch.from_numpy(resized).movedim(-1, 1).clamp(0, 1).to(image.device)
    return from_uint8(resized, image.device)


def mask_at(mask: Tensor, image: Tensor) -> Tensor:
    """Bring a mask [B or 1, H, W] to the batch and the size of an image [B, C, h, w]: [B, 1, h, w], bilinear, as
    the released gradio_inpaint.py does before it cuts at one half.

    Raises `ValueError` for a number of masks that is neither 1 nor the number of images.
    """
    if len(mask) not in (1, len(image)):
        raise ValueError(f"there are {len(mask)} masks for {len(image)} images; expected one for all, or one each")
    placed: Tensor = mask[:, None].float()
    if placed.shape[2:] != image.shape[2:]:
        placed = F.interpolate(placed, image.shape[2:], mode="bilinear")
    return placed.expand(len(image), -1, -1, -1)
