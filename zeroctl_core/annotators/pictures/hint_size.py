"""At which size to annotate: arithmetic only."""

from __future__ import annotations

from typing import Literal

RESOLUTIONS = (64, 16384)
"""The smallest and the largest resolution; 0 is allowed beside them."""


def size_at_resolution(height: int, width: int, resolution: int) -> tuple[int, int]:
    """(height, width) with the short side at `resolution` and the proportions kept; 0 keeps the size.

    The released code rounds both sides to 64, which bends the proportions by up to 32 pixels a side; we do not,
    because nothing here needs it: nets that do, pad inside and crop after.

    Raises `ValueError` for a resolution that is neither 0 nor in 64..16384.
    """
    smallest, largest = RESOLUTIONS
    if resolution != 0 and not smallest <= resolution <= largest:
        raise ValueError(
            f"resolution is {resolution}; expected the short side in pixels, {smallest} to {largest}, "
            "or 0 to keep the image's size"
        )
    if resolution == 0:
        return height, width
    scale = resolution / min(height, width)
    return round(height * scale), round(width * scale)


def hint_size(
    height: int, width: int, canvas_height: int, canvas_width: int, mode: Literal["crop", "fit", "stretch"] = "crop"
) -> int:
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
