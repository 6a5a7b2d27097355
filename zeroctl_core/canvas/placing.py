"""Bring a condition image to the canvas of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .by_content import resize_by_content
from .content import HOLE, Content, content_of, has_hole

RESIZE_MODES = ("crop", "fit", "stretch")


@dataclass(frozen=True)
class Placed:
    """A condition image on its canvas, what that cost, and the same in words.

    `lost` is the share of the picture outside of the canvas (`crop`) or the share of the canvas that is border (`fit`).
    """

    image: Tensor
    lost: float
    note: str


def resize_condition(
    image: Tensor,
    height: int,
    width: int,
    mode: str = "crop",
    *,
    scan: bool = True,
    before_each: Callable[[int], None] | None = None,
) -> Placed:
    """Place a batch of condition images.

    [B, C, H, W], any H and W  ->  [B, C, height, width] in the same dtype on the same device

    `crop`: the middle of the picture with the canvas's proportions, then nearest pixels: what the host does for its own
    ControlNets (`common_upscale(image, width, height, "nearest-exact", "center")`), to the bit.
    `fit`: the whole picture, with borders in the median colour of the picture's edge (a hole's value for inpaint).
    `stretch`: the whole picture, proportions bent. These two choose the filter by content, `resize_by_content`, and cut
    what lies outside of 0..1 in a picture without a hole: what a filter before this overshot is not content.
    They take their time over a long batch, and call `before_each` with the number of pictures that are placed; what it
    raises stops them. `scan=False` looks at the shape alone: the values are checked.

    Raises `ValueError` for an unknown mode, another shape or type, a value that is not finite, and a crop that would
    leave nothing of the picture.
    """
    check_canvas(height, width, mode)
    _check_image(image, scan)
    H, W = image.shape[2:]
    lost = aspect_loss(H, W, height, width, mode)
    if mode == "crop":
        top, left, crop_h, crop_w = crop_box(H, W, height, width)
        middle = image[:, :, top : top + crop_h, left : left + crop_w]
        canvas_image = F.interpolate(middle, size=(height, width), mode="nearest-exact")
        edges = f"left and right {left} px each" if left else f"top and bottom {top} px each"
        note = (
            f"{lost:.1%} of the picture lies outside of the canvas ({edges})" if lost else "the whole picture is on it"
        )
        return Placed(canvas_image, lost, f"crop: {note}")
    if (height, width) != (H, W):
        image, cut = _without_overshoot(image)
    else:
        cut = ""
    place = _fitted if mode == "fit" else resize_by_content
    pictures, filters = zip(*(place(one, height, width) for one in _announced(image, before_each)), strict=True)
    if mode == "fit":
        note = f"{lost:.1%} of the canvas is border" if lost else "the picture fills it"
    else:
        ratio = (width / W) / (height / H)
        note = "proportions kept" if ratio == 1 else f"width x{ratio:.3g} against the height"
    names = ", ".join(sorted(set(filters)))
    return Placed(torch.stack(pictures), lost, f"{mode}: {note}; filter: {names}{cut}")


def aspect_loss(image_height: int, image_width: int, height: int, width: int, mode: str = "crop") -> float:
    """What differing proportions cost, 0..1: the share of the picture cut off, or of the canvas left empty."""
    _check_mode(mode)
    if mode == "crop":
        _, _, crop_h, crop_w = crop_box(image_height, image_width, height, width)
        return 1 - crop_h * crop_w / (image_height * image_width)
    if mode == "fit":
        _, _, fit_h, fit_w = fit_box(image_height, image_width, height, width)
        return 1 - fit_h * fit_w / (height * width)
    return 0.0


def crop_box(image_height: int, image_width: int, height: int, width: int) -> tuple[int, int, int, int]:
    """(top, left, height, width) of the part of the image that the canvas shows.

    The host's arithmetic, its rounding included: both sides lose the same number of whole pixels.
    Raises `ValueError` when nothing would be left.
    """
    top = left = 0
    image_aspect, aspect = image_width / image_height, width / height
    # the order of the operations is the host's: another would round to another pixel now and then
    if image_aspect > aspect:
        left = round((image_width - image_width * (aspect / image_aspect)) / 2)
    elif image_aspect < aspect:
        top = round((image_height - image_height * (image_aspect / aspect)) / 2)
    crop_h, crop_w = image_height - 2 * top, image_width - 2 * left
    if crop_h < 1 or crop_w < 1:
        raise ValueError(
            f"nothing of an image of {image_width}x{image_height} is left when it is cropped to the proportions of a "
            f"canvas of {width}x{height}; choose the resize mode fit or stretch"
        )
    return top, left, crop_h, crop_w


def fit_box(image_height: int, image_width: int, height: int, width: int) -> tuple[int, int, int, int]:
    """(top, left, height, width) of the part of the canvas that the whole image covers."""
    scale = min(height / image_height, width / image_width)
    fit_h = min(max(round(image_height * scale), 1), height)
    fit_w = min(max(round(image_width * scale), 1), width)
    return (height - fit_h) // 2, (width - fit_w) // 2, fit_h, fit_w


def border_colour(picture: Tensor, content: Content | None = None) -> Tensor:
    """[C, H, W] -> [C, 1, 1]: the median of the four edges, channel by channel.

    In a map of classes and in a drawing it is the edge's own colour nearest to that median: no class that the map does
    not have. `content_of` is asked where `content` is None.
    """
    content = content or content_of(picture)
    if content == "hole":
        return picture.new_full((picture.shape[0], 1, 1), HOLE)
    edges = torch.cat([picture[:, 0], picture[:, -1], picture[:, :, 0], picture[:, :, -1]], dim=1)  # [C, N]
    values = edges.float().sort(dim=1).values
    n = values.shape[1]
    median = (values[:, (n - 1) // 2] + values[:, n // 2]) / 2
    if content != "smooth":
        median = edges[:, (edges.float() - median[:, None]).abs().sum(0).argmin()]
    return median.to(picture.dtype)[:, None, None]


def _fitted(picture: Tensor, height: int, width: int) -> tuple[Tensor, str]:
    """[C, H, W] -> the whole picture in the middle of [C, height, width], and the name of the filter."""
    top, left, fit_h, fit_w = fit_box(picture.shape[1], picture.shape[2], height, width)
    if (fit_h, fit_w) == (height, width):
        return resize_by_content(picture, height, width)
    content = content_of(picture)
    inner, name = resize_by_content(picture, fit_h, fit_w, content)
    canvas = border_colour(picture, content).repeat(1, height, width)
    canvas[:, top : top + fit_h, left : left + fit_w] = inner
    return canvas, name


def _announced(image: Tensor, before_each: Callable[[int], None] | None) -> Iterator[Tensor]:
    """The pictures of a batch, each after its announcement."""
    for n, picture in enumerate(image):
        if before_each:
            before_each(n)
        yield picture


def _without_overshoot(image: Tensor) -> tuple[Tensor, str]:
    """A batch with every picture that has no hole cut to 0..1, and a note where that changed anything."""
    low, high = float(image.amin()), float(image.amax())  # a tenth of aminmax's time on channels last
    with_hole = [has_hole(one) for one in image] if low < 0.0 or high > 1.0 else [True]
    if all(with_hole):
        return image, ""
    pictures = torch.stack([one if hole else one.clamp(0.0, 1.0) for one, hole in zip(image, with_hole, strict=True)])
    if any(with_hole) and torch.equal(pictures, image):
        return image, ""
    return pictures, f"; values from {low:.3g} to {high:.3g} were cut to 0..1"


def check_canvas(height: int, width: int, mode: str) -> None:
    """Refuse, with a `ValueError`, an unknown resize mode and a canvas without pixels."""
    _check_mode(mode)
    if height < 1 or width < 1:
        raise ValueError(f"a canvas has the size {width}x{height}; expected at least one pixel a side")


def _check_mode(mode: str) -> None:
    if mode not in RESIZE_MODES:
        raise ValueError(f"the resize mode {mode!r} is not known; use one of {', '.join(RESIZE_MODES)}")


def _check_image(image: Tensor, scan: bool) -> None:
    if image.ndim != 4 or 0 in image.shape or not image.is_floating_point():
        raise ValueError(
            f"a condition image has the shape {tuple(image.shape)} and type {image.dtype}; "
            "expected floats of the shape [B, C, H, W], none of them 0"
        )
    if scan and not (torch.isfinite(image.amin()) and torch.isfinite(image.amax())):
        raise ValueError("a condition image holds NaN or infinity; look at the node that made it")
