"""Conditions of a union ControlNet: which type each is of, and several of them on one control."""

from __future__ import annotations

from typing import Any

from zeroctl_core.network.union_controlnet import UNION_TYPES

from .host.inputs import check_choice, read_condition
from .host.schema import ComfyNode, NodeOutput, UnionSocket, io, schema
from .host.units import UnionCondition


class ZeroctlUnionCondition(ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroctlUnionCondition",
            display_name="Union Condition",
            category="zeroctl/apply",
            description="Tells a union ControlNet which type a condition image is of. Chain several through union: "
            "they go through one run of the net together, as it was trained.",
            search_aliases=["union type", "promax", "set union controlnet type", "multi condition"],
            inputs=[
                io.Combo.Input(
                    "union_type",
                    options=list(UNION_TYPES),
                    default=UNION_TYPES[3],
                    tooltip="What the image shows: the kind of annotator that made it. tile and repaint are for ProMax "
                    "alone.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=10.0,
                    step=0.01,
                    tooltip="Of this image beside the others, inside the net. A single one is scaled where it is "
                    "added, as by the control's strength. 0 leaves it out.",
                ),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="A further condition image. Without one, type and strength are those of the image of "
                    "ControlNet Control.",
                ),
                UnionSocket.Input("union", optional=True, tooltip="Conditions before this one."),
            ],
            outputs=[
                UnionSocket.Output(
                    display_name="union", tooltip="For union of ControlNet Control, or of another Union Condition."
                )
            ],
        )

    @classmethod
    def execute(cls, union_type: str, strength: float, image: Any = None, union: Any = ()) -> NodeOutput:
        number = UNION_TYPES.index(check_choice("union_type", union_type, UNION_TYPES))
        picture, note = (None, "") if image is None else read_condition(image)
        condition = UnionCondition(type=number, strength=strength, image=picture, note=note)
        return NodeOutput((*(union or ()), condition.with_hole()))


NODES = [ZeroctlUnionCondition]
