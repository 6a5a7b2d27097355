"""The start of training: an untrained ControlNet that is a copy of a MODEL's encoder."""

from __future__ import annotations

from typing import Any

from .host.copying import copy_from_model
from .host.schema import ComfyNode, NodeOutput, io, schema


class ZeroctlCopyFromModel(ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroctlCopyFromModel",
            display_name="Untrained ControlNet from Model",
            category="zeroctl/train",
            description="The trainable copy of the paper: the encoder of the MODEL, behind zero convolutions. "
            "Untrained it changes no picture. Weights are copied without LoRA patches, in fp32.",
            search_aliases=["trainable copy", "new controlnet"],
            inputs=[io.Model.Input("model", tooltip="A Stable Diffusion 1.5, 2.1 or SDXL MODEL. It is not changed.")],
            outputs=[
                io.ControlNet.Output(
                    display_name="control_net",
                    tooltip="An untrained ControlNet: for Save ControlNet, or to train.",
                )
            ],
        )

    @classmethod
    def execute(cls, model: Any) -> NodeOutput:
        return NodeOutput(copy_from_model(model))


NODES = [ZeroctlCopyFromModel]
