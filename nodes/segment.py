"""Segmentation in the colours that ControlNets know."""

from __future__ import annotations

from typing import Any

from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.annotators.pixels import over_white
from zeroctl_core.annotators.resolution import at_resolution
from zeroctl_core.annotators.segment import segment_ids
from zeroctl_core.annotators.segmentation import paint_classes

from .annotate import CATEGORY, description, download_input, model_input, resolution_input
from .host.annotator_nets import device_of, in_chunks, loaded_folder
from .host.schema import ComfyNode, NodeOutput, check_choice, io, schema, ui
from .host.units import check_image

SEGMENT = ANNOTATORS["segment"]
PALETTES = ["ade20k"]
PERSON = 12


class ZeroctlSegment(ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroctlSegment",
            display_name=SEGMENT.title,
            category=CATEGORY,
            description=description(SEGMENT),
            search_aliases=["segmentation", "seg", "ade20k", "oneformer", "uniformer"],
            inputs=[
                io.Image.Input("image", tooltip="The picture to segment; alpha is laid over white."),
                model_input(SEGMENT.task),
                io.Combo.Input(
                    "palette", options=PALETTES, default=PALETTES[0], tooltip="ADE20K's 150 colours, exact."
                ),
                resolution_input(512),
                download_input(),
                io.Int.Input(
                    "mask_class",
                    default=PERSON,
                    min=0,
                    max=149,
                    tooltip="The class that the mask shows, by its number in ADE20K: 0 wall, 2 sky, 4 tree, 12 person.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="condition", tooltip="The condition image for ZeroctlControl."),
                io.Mask.Output(display_name="mask", tooltip="1 where the picture shows mask_class."),
            ],
        )

    @classmethod
    def execute(
        cls, image: Any, model: str, palette: str, resolution: int, download: bool, mask_class: int
    ) -> NodeOutput:
        check_choice("palette", palette, PALETTES)
        picture = at_resolution(over_white(check_image(image, channels=(3, 4))), resolution)
        net = loaded_folder(SEGMENT.task, model, download)
        device = device_of(net)
        ids = in_chunks(len(picture), device, lambda part: segment_ids(picture[part].to(device), net, palette))
        condition = paint_classes(ids, palette)
        shown = condition.movedim(1, -1)
        return NodeOutput(shown, (ids == mask_class).float(), ui=ui.PreviewImage(shown, cls=cls))


NODES = [ZeroctlSegment]
