"""At which resolution to annotate a picture, so that its condition needs no resizing later."""

from __future__ import annotations

from typing import Any

from zeroctl_core.annotators.pictures.resolution import RESOLUTIONS, hint_size
from zeroctl_core.canvas import RESIZE_MODES
from zeroctl_core.canvas.cells import PIXELS_PER_CELL

from .host.inputs import check_choice, check_image
from .host.schema import ComfyNode, NodeOutput, io, schema


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
        image_height, image_width = check_image(image, channels=(3, 4)).shape[-2:]
        if latent is not None:
            height, width = (side * PIXELS_PER_CELL for side in latent["samples"].shape[-2:])
        return NodeOutput(hint_size(image_height, image_width, height, width, mode))


NODES = [ZeroctlHintSize]
