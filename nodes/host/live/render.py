"""The condition image of a small picture, as a JPEG."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from zeroctl_core.annotators import Annotator
from zeroctl_core.annotators.pictures.alpha import without_alpha
from zeroctl_core.annotators.pictures.resolution import at_resolution, size_at_resolution

from ..inputs import check_image
from .small import SIDE, NoPicture, Small

__all__ = ["render"]

SMALLEST = 64
"""Of a side in pixels, at which annotators work."""
QUALITY = 85


def render(small: Small, annotator: Annotator | None, settings: Mapping[str, Any]) -> bytes:
    """What an annotator draws of a picture, 512 pixels wide or high at most; None: the picture.

    settings: all of its node, `resolution` among them, checked. The condition is that of a run where it fits.

    Raises `NoPicture` for settings that need a network, `ValueError` for a condition that a control would not take, and
    what the annotator raises.
    """
    image = small.pixels[None].float() / 255
    if annotator is None:
        return _jpeg(check_image(image))
    picture = check_image(image, channels=(1, 3, 4))
    values = {param.name: settings[param.name] for param in annotator.params if param.name in settings}
    if annotator.task or annotator.kind != "image" or annotator.network(**values) is not None:
        raise NoPicture("With these settings the condition shows after a run.")
    with torch.inference_mode():
        picture = without_alpha(picture, annotator.transparent)
        picture = picture.expand(-1, 3, -1, -1) if picture.shape[1] == 1 else picture
        picture = _resized(picture, small, int(settings.get("resolution", 0)), annotator)
        return _jpeg(annotator(picture, **values))


def _resized(picture: Tensor, small: Small, resolution: int, annotator: Annotator) -> Tensor:
    """The picture at the size that a run would give it, or with that size's longer side at `SIDE`."""
    size = size_at_resolution(small.height, small.width, resolution)
    scale = min(1.0, SIDE / max(size))
    short_side = max(SMALLEST, round(min(size) * scale))
    if min(picture.shape[2:]) == short_side:
        return picture
    return at_resolution(picture, short_side, in_floats=annotator.takes == "depth")


def _jpeg(condition: Tensor) -> bytes:
    from PIL import Image

    pixels = condition[0].clamp(0, 1).mul(255).round().to(torch.uint8).movedim(0, -1).cpu().numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
