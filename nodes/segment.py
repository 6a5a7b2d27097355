"""Segmentation in the colours that ControlNets know."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.annotators.colors.class_colors import paint_classes
from zeroctl_core.annotators.pictures.resolution import at_resolution
from zeroctl_core.annotators.segment import segment_ids

from .host.annotators.annotated import annotate_batch, read_picture
from .host.annotators.doubts import say_doubts, say_if_absent
from .host.annotators.inputs import (
    CATEGORY,
    condition_output,
    description,
    download_input,
    model_input,
    resolution_input,
    setting_input,
)
from .host.annotators.nets import load_folders
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
                condition_output(),
                io.Mask.Output(display_name="mask", tooltip="1 where the picture shows mask_class."),
            ],
        )

    @classmethod
    def execute(
        cls, image: Any, model: str, palette: str, resolution: int, download: bool, mask_class: int
    ) -> NodeOutput:
        SEGMENT.check(palette=palette)
        picture = at_resolution(read_picture(image), resolution)
        height, width = picture.shape[2:]

        def run(part: slice, pictures: Tensor, nets: Sequence[nn.Module]) -> Tensor:
            return segment_ids(pictures, nets[0], palette)

        load = partial(load_folders, {SEGMENT.task: model}, download, SEGMENT.seen_pixels(height, width))
        ids = torch.cat(annotate_batch(SEGMENT.name, picture, run, load=load))
        painted = paint_classes(ids, palette)
        say_doubts(SEGMENT, picture, painted, palette=palette)
        mask = ids == mask_class
        say_if_absent(SEGMENT.title, mask, ids, mask_class)
        condition = painted.movedim(1, -1)
        return NodeOutput(condition, mask.float(), ui=preview(condition, cls))


NODES = [ZeroctlSegment]
