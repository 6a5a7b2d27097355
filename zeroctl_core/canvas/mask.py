"""Masks that say where a control acts: 1 acts, 0 does not, [n, 1, H, W] in the coordinates of the canvas."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from .by_area import resize_by_area
from .placing import check_canvas, crop_box, fit_box

SIGMAS_IN_FEATHER = 2.0  # 95 % of a Gaussian edge lies within two standard deviations of it
BLOCK = 256
"""Rows that are blurred by one matrix product; of a large mask with a narrow feather, most weights are 0."""


def _go_on() -> None:
    """No pause."""


def check_mask(mask: Tensor, scan: bool = True) -> None:
    """Refuse, with a `ValueError`, what is not [n, 1, H, W] with n, H, W >= 1 and finite values in 0..1.

    `scan=False` looks at the shape alone.
    """
    if mask.ndim != 4 or 0 in mask.shape or mask.shape[1] != 1:
        raise ValueError(f"the mask has the shape {tuple(mask.shape)}; expected [n, 1, H, W], none of them 0")
    if not scan or mask.is_meta:  # on meta there are no values
        return
    low, high = mask.aminmax()
    # written so that a NaN, which compares with nothing, is refused too
    if not (low >= 0.0 and high <= 1.0):
        raise ValueError(
            f"the mask has values from {low.item():.8g} to {high.item():.8g}; expected 0 (the control does not act) "
            "to 1"
        )


def prepared_mask(
    mask: Tensor,
    *,
    image_size: tuple[int, int],
    canvas_size: tuple[int, int],
    mode: str = "crop",
    invert: bool = False,
    feather: float = 0.0,
    scan: bool = True,
    pause: Callable[[], None] = _go_on,
) -> Tensor:
    """A mask as it acts on a canvas: turned round if asked, placed as its image is, its edge softened.

    [H, W], [B, H, W] or [B, 1, H, W] in 0..1  ->  [B, 1, *canvas_size] float32

    `image_size` and `canvas_size` are (height, width) in pixels. The borders of the mode `fit` are 0 of an inverted
    mask too: no control acts where there is no picture. A batch equals its masks one at a time, so whoever must be able
    to stop between two masks calls this for each; `pause` is called within a feather and may raise. `scan=False` looks
    at the shape alone: the values are checked.

    Raises `ValueError` for what is not a mask, for an unknown mode, and for a feather below 0 or not finite.
    """
    mask = _as_masks(mask, scan)
    on_canvas = _placed(1.0 - mask if invert else mask, image_size, canvas_size, mode)
    return feathered(on_canvas, feather, pause)


def place_mask(
    mask: Tensor, image_height: int, image_width: int, height: int, width: int, mode: str = "crop"
) -> Tensor:
    """Place a mask as `resize_condition` places the image that it belongs to.

    [H, W], [B, H, W] or [B, 1, H, W] in 0..1  ->  [B, 1, height, width] float32

    A mask of another size than the image covers the same extent. Always by area: a cell that is half covered is 0.5.
    The borders of `fit` are 0: no control acts where there is no picture.

    Raises `ValueError` for an unknown mode, another shape, and values outside of 0..1.
    """
    return _placed(_as_masks(mask), (image_height, image_width), (height, width), mode)


def feathered(mask: Tensor, feather: float, pause: Callable[[], None] = _go_on) -> Tensor:
    """The mask with a soft edge: [n, 1, H, W] float32 in 0..1 -> the same.

    `feather` is the distance in pixels over which an edge fades to either side, as a Gaussian with half of it as its
    standard deviation. Beyond the border the mask goes on as it ends there. `pause` is called every few tenths of a
    second and may raise.

    Raises `ValueError` for a feather below 0 or not finite.
    """
    if not (math.isfinite(feather) and feather >= 0.0):
        raise ValueError(f"the mask's feather is {feather} pixels; expected 0 or more")
    return _blurred(mask, feather / SIGMAS_IN_FEATHER, pause) if feather > 0.0 else mask


def _as_masks(mask: Tensor, scan: bool = True) -> Tensor:
    """A mask, or a batch of them, as [B, 1, H, W] float32 with values in 0..1."""
    if mask.ndim == 2:
        mask = mask[None]
    if mask.ndim == 3:
        mask = mask[:, None]
    check_mask(mask, scan)
    return mask.float()


def _placed(mask: Tensor, image_size: tuple[int, int], canvas_size: tuple[int, int], mode: str) -> Tensor:
    check_canvas(*canvas_size, mode)
    if mode == "crop":
        top, left, height, width = crop_box(*image_size, *canvas_size)
        down, right = mask.shape[2] / image_size[0], mask.shape[3] / image_size[1]
        window = (top * down, (top + height) * down, left * right, (left + width) * right)
        result = resize_by_area(mask, *canvas_size, window)
    elif mode == "stretch":
        result = resize_by_area(mask, *canvas_size)
    else:
        top, left, height, width = fit_box(*image_size, *canvas_size)
        result = mask.new_zeros(mask.shape[0], 1, *canvas_size)
        result[:, :, top : top + height, left : left + width] = resize_by_area(mask, height, width)
    return result.clamp(0, 1)  # the sums of shares round to 1.0000001


def _blurred(mask: Tensor, sigma: float, pause: Callable[[], None]) -> Tensor:
    """[n, 1, H, W] -> the same through a Gaussian, cut off at three standard deviations.

    Matrix products, because their time hardly grows with sigma: 1024x1024 pixels with a feather of 1024 take .1 s on
    one thread, where a convolution takes 25 s. Within 2e-6 of the same kernel in float64.
    """
    across = _blurred_down(mask.mT, sigma, pause).mT
    return _blurred_down(across, sigma, pause).clamp(0.0, 1.0)  # a sum of rounded shares can end a few 1e-7 outside


def _blurred_down(mask: Tensor, sigma: float, pause: Callable[[], None]) -> Tensor:
    """Along the height alone, by blocks of rows: each needs only the rows that the kernel reaches."""
    height, reach = mask.shape[-2], math.ceil(3.0 * sigma)
    blocks = []
    for start in range(0, height, BLOCK):
        pause()
        stop = min(start + BLOCK, height)
        first, last = max(start - reach, 0), min(stop + reach, height)
        distances = torch.arange(first, last) - torch.arange(start, stop)[:, None]
        weights = _gaussian_weights(distances, sigma).to(mask.device, torch.float32)
        blocks.append(weights @ mask[..., first:last, :])
    return torch.cat(blocks, dim=-2)


def _gaussian_weights(distances: Tensor, sigma: float) -> Tensor:
    """[rows, cells] float64, each row adding up to 1: how much of each cell is in each blurred row.

    What the kernel has beyond the first and the last cell counts for these: the mask goes on as it ends there.
    """
    reach = math.ceil(3.0 * sigma)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=torch.float64) / sigma) ** 2)
    up_to = F.pad((kernel / kernel.sum()).cumsum(0), (1, 0))  # the share of all distances up to -reach - 1 .. reach
    shares = up_to[distances.clamp(-reach - 1, reach) + reach + 1]
    shares[:, -1] = 1.0
    return shares.diff(prepend=shares.new_zeros(shares.shape[0], 1))
