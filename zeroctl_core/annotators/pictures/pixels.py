"""Between float images and the 8-bit pixels that OpenCV wants."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def to_uint8(image: Tensor, *, by_opencv: bool = False) -> np.ndarray:
    """[B, C, H, W] in 0..1 -> [B, H, W, C] uint8, contiguous, in the CPU's memory.

    Rounds; truncation would darken decoded images by half a level, and a value of 1.004 would wrap to 0.
    One picture at a time: what a batch of large ones needs in between would not stay in the processor's cache.
    `by_opencv` is for who needs OpenCV anyway: the same numbers in an eighth of the time.
    """
    image = image.detach().movedim(1, -1)
    if by_opencv and image.device.type == "cpu" and image.dtype == torch.float32:
        return _by_opencv(np.ascontiguousarray(image.numpy()))
    pixels = torch.empty(image.shape, dtype=torch.uint8, device=image.device)
    levels = torch.empty(image.shape[1:], dtype=torch.float32, device=image.device)
    for target, picture in zip(pixels, image, strict=True):
        torch.mul(picture.float(), 255, out=levels)
        target.copy_(levels.round_().clamp_(0, 255))
    return np.ascontiguousarray(pixels.cpu().numpy())


def _by_opencv(image: np.ndarray) -> np.ndarray:
    """[B, H, W, C] float32 -> uint8: OpenCV rounds halves to even and saturates, as torch and `clamp` do."""
    import cv2

    if image.min() < 0:  # of which OpenCV would take the absolute value
        image = image.clip(min=0)
    pixels = np.empty(image.shape, np.uint8)
    for target, picture in zip(pixels, image, strict=True):
        cv2.convertScaleAbs(picture, dst=target, alpha=255.0)
    return pixels


def in_range(image: Tensor) -> Tensor:
    """float32, clamped to 0..1; an image that lies in it is not copied, which takes longer than to look."""
    image = image.float()
    return image if image.amin() >= 0 and image.amax() <= 1 else image.clamp(0, 1)


def from_uint8(pixels: np.ndarray, device: torch.device) -> Tensor:
    """[B, H, W, C] uint8 -> [B, C, H, W] float32 in 0..1, channels last in memory, as hosts want their pictures."""
    levels = torch.from_numpy(pixels).to(device)
    image = torch.empty(levels.shape, dtype=torch.float32, device=device)
    for target, picture in zip(image, levels, strict=True):
        torch.div(picture, 255, out=target)
    return image.movedim(-1, 1)


def grey_from_uint8(planes: np.ndarray, device: torch.device) -> Tensor:
    """[B, H, W] uint8 -> [B, 3, H, W] float32 in 0..1, three equal channels, channels last in memory."""
    import cv2

    image = np.empty((*planes.shape, 3), np.float32)
    for target, plane in zip(image, planes, strict=True):
        # a third to a fifth of the time that torch and numpy take to write a level three times
        cv2.cvtColor(plane.astype(np.float32) / np.float32(255), cv2.COLOR_GRAY2RGB, dst=target)
    return torch.from_numpy(image).to(device).movedim(-1, 1)


def over_white(image: Tensor) -> Tensor:
    """[B, 4, H, W] in 0..1, straight alpha last -> [B, 3, H, W], on a white background; 3 channels are handed on.

    Source: `HWC3` of the released annotator/util.py, where transparent means white paper.
    """
    if image.shape[1] != 4:
        return image
    color, alpha = image[:, :3], image[:, 3:]
    return color * alpha + (1 - alpha)
