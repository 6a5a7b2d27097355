"""Segmentation in the colours that ControlNets know."""

from __future__ import annotations

from typing import Any

import torch

from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.annotators.colors.class_colors import paint_classes
from zeroctl_core.annotators.pictures.check import check_picture
from zeroctl_core.annotators.pictures.pixels import over_white
from zeroctl_core.annotators.pictures.resolution import at_resolution
from zeroctl_core.annotators.segment import segment_ids

from .host.annotators.chunks import in_chunks, kept
from .host.annotators.inputs import (
    CATEGORY,
    description,
    download_input,
    model_input,
    resolution_input,
    setting_input,
)
from .host.annotators.nets import device_of, loaded_folders
from .host.inputs import check_image
from .host.preview import preview
from .host.schema import ComfyNode, NodeOutput, io, schema

SEGMENT = ANNOTATORS["segment"]
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
                *(setting_input(param) for param in SEGMENT.params),
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
        SEGMENT.check(palette=palette)
        picture = at_resolution(over_white(check_image(image, channels=(3, 4))), resolution)
        check_picture(SEGMENT.name, picture)
        (net,) = loaded_folders({SEGMENT.task: model}, download, picture.shape[2] * picture.shape[3])
        device = device_of(net)
        parts = in_chunks(len(picture), device, lambda part: kept(segment_ids(picture[part].to(device), net, palette)))
        ids = torch.cat(parts)
        condition = paint_classes(ids, palette)
        shown = condition.movedim(1, -1)
        return NodeOutput(shown, (ids == mask_class).float(), ui=preview(shown, cls))


NODES = [ZeroctlSegment]
