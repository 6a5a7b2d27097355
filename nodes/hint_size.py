"""At which resolution to annotate a picture, so that its condition needs no resizing later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zeroctl_core.annotators.pictures.resolution import RESOLUTIONS, hint_size
from zeroctl_core.canvas import RESIZE_MODES
from zeroctl_core.canvas.cells import PIXELS_PER_CELL

from .host.inputs import check_choice, check_image
from .host.schema import ComfyNode, NodeOutput, io, schema

CHANNELS_OF_8 = (4, 16)
"""Channels of the latents whose cells have 8 pixels a side."""


def _side(name: str) -> Any:
    return io.Int.Input(
        name, default=512, min=16, max=RESOLUTIONS[1], step=8, tooltip="Of the picture to generate, pixels."
    )


class ZeroctlHintSize(ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroctlHintSize",
            display_name="Resolution for Annotators",
            category="zeroctl/annotate",
            description="The resolution (short side) at which to annotate a picture, so that the condition is as fine "
            "as the picture that you generate. Known as pixel perfect.",
            search_aliases=["pixel perfect", "pixel perfect resolution"],
            inputs=[
                io.Image.Input("image", tooltip="The picture that is going to be annotated."),
                _side("width"),
                _side("height"),
                io.Combo.Input(
                    "mode",
                    options=list(RESIZE_MODES),
                    default="crop",
                    tooltip="The resize that ControlNet Control is set to: crop fills the picture, fit shows the "
                    "whole condition, stretch bends its proportions.",
                ),
                io.Latent.Input(
                    "latent", optional=True, tooltip="The latent to generate in; its size wins over width and height."
                ),
            ],
            outputs=[
                io.Int.Output(display_name="resolution", tooltip="For the resolution input of an annotator."),
            ],
        )

    @classmethod
    def execute(cls, image: Any, width: int, height: int, mode: str, latent: Any = None) -> NodeOutput:
        check_choice("mode", mode, RESIZE_MODES)
        image_height, image_width = check_image(image, channels=(1, 3, 4)).shape[-2:]
        if latent is not None:
            height, width = _canvas_of(latent)
        return NodeOutput(hint_size(image_height, image_width, height, width, mode))


def _canvas_of(latent: Mapping[str, Any]) -> tuple[int, int]:
    """(height, width) in pixels of the picture that a LATENT stands for.

    Raises `ValueError` where nothing says how many pixels a cell has.
    """
    samples = latent["samples"]
    pixels = latent.get("downscale_ratio_spacial")  # the host's own spelling, of 0.33
    if pixels is None and not samples.is_nested and samples.ndim in (4, 5) and samples.shape[1] in CHANNELS_OF_8:
        pixels = PIXELS_PER_CELL
    if pixels is None:
        raise ValueError(
            f"the latent has the shape {list(samples.shape)}, and nothing says how many pixels one of its cells has "
            "(8 with 4 or 16 channels, as of Stable Diffusion, SDXL, SD3 and Flux). Disconnect it, and enter width and "
            "height of the picture."
        )
    height, width = (round(side * pixels) for side in samples.shape[-2:])
    return height, width


NODES = [ZeroctlHintSize]
