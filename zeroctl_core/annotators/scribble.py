"""Scribble lines: white on black, from a drawing, a mask or, by XDoG, from a photograph."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
import torch
from torch import Tensor

from .annotator import annotator
from .params import Choice, Param
from .pictures.pixels import to_uint8

SURE = 0.75
"""Share of the picture that settles what the paper is, whatever its border looks like."""

PARAMS = (
    Choice(
        "source",
        ("drawing", "xdog"),
        help="drawing: a drawing or mask, cut at the threshold. xdog: lines from any picture, photographs too.",
    ),
    Choice(
        "polarity",
        ("auto", "dark_on_light", "light_on_dark", "batch"),
        help="What the picture holds: dark lines on light paper, or light lines, as of chalk or a mask. The result is "
        "white on black in any case. auto decides by the paper of each drawing; for xdog it means dark lines, as in "
        "other tools. batch: auto, once for all pictures by their majority, for video.",
    ),
    Param(
        "threshold",
        127,
        range=(1, 254),
        step=1,
        help="For drawings: a line is darker than this in some channel (dark on light), or brighter (light on dark).",
    ),
    Param(
        "xdog_threshold",
        32,
        range=(1, 64),
        step=1,
        help="For xdog: twice the number of levels by which a line differs from its surroundings; smaller values draw "
        "more lines.",
    ),
)


def finish(parts: Tensor, source: str, polarity: str, **settings: object) -> Tensor:
    """The dark or the light lines of all pictures, by what the paper of most of them is, where that is asked."""
    if source != "drawing" or polarity != "batch":
        return parts
    dark, light, has_light_paper = parts.unbind(1)
    lines = dark if 2 * int(has_light_paper[:, 0, 0].count_nonzero()) >= len(parts) else light
    return lines[:, None].repeat(1, 3, 1, 1)


def doubt(picture: Tensor, condition: Tensor, source: str, polarity: str, threshold: int, **settings: object) -> str:
    """Whether auto took some pictures of a batch for ink on paper and others for chalk."""
    if source != "drawing" or polarity != "auto" or len(picture) < 2:
        return ""
    light = [paper_is_light(one.min(axis=-1) >= threshold) for one in to_uint8(picture, by_opencv=True)]
    if len(set(light)) == 1:
        return ""
    return (
        f"{sum(light)} of {len(light)} pictures were taken for dark lines on light paper and the others for light "
        "lines on dark paper. Of a video some frames are then inverted: set polarity to batch."
    )


@annotator(
    "scribble",
    union_type=2,
    net_names=("scribble", "sketch", "mistoline"),
    params=PARAMS,
    needs=("cv2",),
    title="Scribble Lines",
    aliases=("fake scribble", "xdog"),
    summary="White lines on black, as the Scribble ControlNets were trained on: from your own drawing or mask, or from "
    "a photograph by XDoG.",
    transparent="drawing",
    reads_mask=True,
    finish=finish,
    doubt=doubt,
)
def scribble(image: Tensor, source: str, polarity: str, threshold: int, xdog_threshold: int) -> Tensor:
    """Scribble lines as the released ControlNets were trained on.

    [B, 3, H, W] in 0..1  ->  [B, 3, H, W], 0 or 1, three equal channels

    Source: the released gradio_scribble2image.py, `min(RGB) < 127`, and its interactive variant, `mask > 127`; XDoG
    as in other packs, two Gaussians of sigma 0.5 and 5. `auto` decides by `paper_is_light`, picture by picture.
    """
    import cv2

    pixels = to_uint8(image, by_opencv=True)
    lines = np.empty(pixels.shape, np.float32)
    for row, picture in enumerate(pixels):
        # plane by plane: an extreme over interleaved channels is several times slower
        planes = cv2.split(picture)
        if source == "xdog":
            is_line = _xdog(planes, polarity, xdog_threshold)
        elif polarity == "batch":  # `finish` sees all pictures of the batch
            dark = reduce(cv2.min, planes) < threshold
            light = reduce(cv2.max, planes) > threshold
            lines[row] = np.stack([dark, light, np.full_like(dark, paper_is_light(~dark))], axis=-1)
            continue
        else:
            is_line = _lines_of_drawing(planes, polarity, threshold)
        cv2.cvtColor(is_line.astype(np.float32), cv2.COLOR_GRAY2RGB, dst=lines[row])
    return torch.from_numpy(lines).to(image.device).movedim(-1, 1)


def _lines_of_drawing(planes: Sequence[np.ndarray], polarity: str, threshold: int) -> np.ndarray:
    """Where a drawing has its lines. Three [H, W] uint8 -> [H, W] bool"""
    import cv2

    dark = reduce(cv2.min, planes) < threshold
    if polarity == "dark_on_light" or (polarity == "auto" and paper_is_light(~dark)):
        return dark
    return reduce(cv2.max, planes) > threshold


def paper_is_light(light: np.ndarray) -> bool:
    """Whether a drawing is on light paper. [H, W] bool, the pixels at the threshold or above in all channels -> bool

    More than three quarters of the pixels are paper, even where a frame runs round it. With fewer the lines are
    thick, and the border (a 32nd of the short side) decides: a drawing fills the middle first. A tie is light paper.
    """
    count = np.count_nonzero(light)
    if not 1 - SURE <= count / light.size <= SURE:
        return bool(count > light.size / 2)
    width = max(1, min(light.shape) // 32)
    inner = light[width:-width, width:-width]
    return bool(2 * (count - np.count_nonzero(inner)) >= light.size - inner.size)


def _xdog(planes: Sequence[np.ndarray], polarity: str, threshold: int) -> np.ndarray:
    """Where a picture is darker (light_on_dark: lighter) than its surroundings. Three [H, W] uint8 -> [H, W] bool

    The formula of other packs, `2 * (255 - dog) > threshold`, but without its overflow in 8 bits, which makes holes
    in strong ink lines (differences of 128 levels and more).
    """
    import cv2

    levels = [(255 - plane if polarity == "light_on_dark" else plane).astype(np.float32) for plane in planes]
    dogs: list[np.ndarray] = [cv2.GaussianBlur(x, (0, 0), 5.0) - cv2.GaussianBlur(x, (0, 0), 0.5) for x in levels]
    least = reduce(cv2.min, dogs)
    # 2 * whole levels > threshold, and above the noise of the blur on flat paper, which 1 would draw
    return 255 - least < 255 - max(int(threshold) // 2, 0.5)
