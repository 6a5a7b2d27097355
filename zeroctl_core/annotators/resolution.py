"""Bring an image to the size at which it is annotated."""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from .annotator import check_image
from .hint_size import size_at_resolution
from .opencv import import_cv2
from .pixels import from_uint8, to_uint8


def at_resolution(image: Tensor, resolution: int) -> Tensor:
    """Resize so that the short side is `resolution` pixels; 0, or the size it has, hands the image on untouched.

    [B, 3, H, W] in 0..1  ->  [B, 3, h, w] float32 in 0..1, 8 bits deep

    Source: `resize_image` of the released annotator/util.py without its rounding to 64: AREA to shrink, LANCZOS4 to
    grow. CUBIC, which other packs use, gives other pixels in OpenCV 4 than in 5.
    """
    height, width = image.shape[2:]
    size = size_at_resolution(height, width, resolution)
    if size == (height, width):
        return image
    check_image("resolution", image)
    cv2 = import_cv2("resolution")
    filter_ = cv2.INTER_LANCZOS4 if size[0] * size[1] > height * width else cv2.INTER_AREA
    resized = [cv2.resize(picture, (size[1], size[0]), interpolation=filter_) for picture in to_uint8(image)]
    return from_uint8(np.stack(resized), image.device)


def mask_at(mask: Tensor, image: Tensor) -> Tensor:
    """Bring a mask [B or 1, H, W] to the batch and the size of an image [B, C, h, w]: [B, 1, h, w], nearest pixels.

    Raises `ValueError` for a number of masks that is neither 1 nor the number of images.
    """
    if len(mask) not in (1, len(image)):
        raise ValueError(f"there are {len(mask)} masks for {len(image)} images; expected one for all, or one each")
    placed: Tensor = mask[:, None].float()
    if placed.shape[2:] != image.shape[2:]:
        placed = F.interpolate(placed, image.shape[2:], mode="nearest-exact")
    return placed.expand(len(image), -1, -1, -1)
