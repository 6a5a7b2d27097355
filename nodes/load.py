"""ControlNet files: load them as the host's CONTROL_NET, save them in a published layout."""

from __future__ import annotations

from typing import Any

from zeroctl_core import save_controlnet
from zeroctl_core.checkpoint.layouts import LAYOUTS

from .host.control_net import is_ours
from .host.describe import describe
from .host.inputs import check_choice
from .host.loading import as_in_file, load_file
from .host.paths import controlnet_names, controlnet_path, fingerprint, new_model_path
from .host.saving import save_as_control_lora
from .host.schema import ComfyNode, NodeOutput, io, schema, ui
from .host.sockets import in_words


class ZeroctlLoadControlNet(ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroctlLoadControlNet",
            display_name="Load ControlNet (strict)",
            category="zeroctl/load",
            description="Loads a ControlNet or T2I-Adapter for Stable Diffusion 1.5, 2.1 or SDXL, in the layout of its "
            "release or of diffusers. Every key must be there with its shape; a file of another kind is named. The "
            "output works in ComfyUI's nodes too.",
            search_aliases=["control net", "controlnet loader", "t2i adapter"],
            inputs=[
                io.Combo.Input(
                    "control_net_name",
                    options=controlnet_names(),
                    tooltip="A file of ComfyUI's controlnet folders. What kind of file it is shows in its content.",
                ),
            ],
            outputs=[
                io.ControlNet.Output(
                    display_name="control_net",
                    tooltip="For ControlNet Control, and for ComfyUI's own Apply ControlNet nodes.",
                ),
                io.String.Output(
                    display_name="info", tooltip="Family, connections, layout, dtype, size and provenance of the file."
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, control_net_name: str = "") -> str:
        return fingerprint(controlnet_path(control_net_name))

    @classmethod
    def execute(cls, control_net_name: str) -> NodeOutput:
        control_net = load_file(controlnet_path(control_net_name))
        return NodeOutput(control_net, describe(control_net))


class ZeroctlSaveControlNet(ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroctlSaveControlNet",
            display_name="Save ControlNet",
            category="zeroctl/load",
            description="Writes a ControlNet of this pack as safetensors, in the layout of the original release or "
            "of diffusers, with what it is and where it comes from in the header; or, with a MODEL and a rank, as a "
            "Control-LoRA.",
            search_aliases=["export controlnet", "convert controlnet", "extract control lora"],
            is_output_node=True,
            inputs=[
                io.ControlNet.Input(
                    "control_net", tooltip="A net of Load ControlNet (strict) or Untrained ControlNet from Model."
                ),
                io.String.Input(
                    "filename_prefix",
                    default="controlnet/zeroctl",
                    tooltip="Folder and name below ComfyUI's output folder; a number is appended.",
                ),
                io.Combo.Input(
                    "layout",
                    options=list(LAYOUTS),
                    default="ldm",
                    tooltip="ldm: the keys of the original release. diffusers: the keys of ControlNetModel.",
                ),
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip="For a Control-LoRA: the MODEL that the net was trained from, whose weights the file "
                    "leaves out.",
                ),
                io.Int.Input(
                    "rank",
                    default=0,
                    min=0,
                    max=1024,
                    optional=True,
                    tooltip="0: the whole net. Above: a Control-LoRA of this rank, which needs model; 128 is usual. "
                    "The node shows what the rank costs.",
                ),
            ],
            outputs=[io.String.Output(display_name="path", tooltip="The file that was written.")],
        )

    @classmethod
    def execute(
        cls, control_net: Any, filename_prefix: str, layout: str, model: Any = None, rank: int = 0
    ) -> NodeOutput:
        check_choice("layout", layout, LAYOUTS)
        if not is_ours(control_net):
            raise ValueError(
                f"control_net is {in_words(control_net)}: only a ControlNet of this pack can be saved. Load it with "
                "Load ControlNet (strict), or make one with Untrained ControlNet from Model."
            )
        if rank and model is None:
            raise ValueError(
                f"rank is {rank} and no model is wired: a Control-LoRA is what a net differs in from the MODEL that it "
                "was trained from. Wire that MODEL, or set rank to 0 for the whole net."
            )
        if rank and layout != "ldm":
            raise ValueError(
                f"layout is {layout!r}: a Control-LoRA is written by the keys of the original release, ldm."
            )
        path = new_model_path(filename_prefix, ".safetensors")
        text = str(path)
        if rank:
            text += f"\n{save_as_control_lora(control_net, model, path, rank)}"
        else:
            save_controlnet(as_in_file(control_net), path, layout=layout)
            if model is not None:
                text += "\nThe whole net: rank is 0, and model was not needed."
        return NodeOutput(str(path), ui=ui.PreviewText(text))


NODES = [ZeroctlLoadControlNet, ZeroctlSaveControlNet]
