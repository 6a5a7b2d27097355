"""One control as one node: annotate, load, control and apply."""

from __future__ import annotations

from typing import Any

from zeroctl_core import MODES
from zeroctl_core.canvas import RESIZE_MODES
from zeroctl_core.network.union_controlnet import UNION_TYPES

from .host.acting_inputs import acting_inputs
from .host.expanding import HIDDEN, Expansion, one_of_each
from .host.inputs import check_choice, check_image
from .host.live.small import keep_last
from .host.loading import is_union_file
from .host.paths import controlnet_names, controlnet_path, fingerprint
from .host.preview import preview
from .host.schema import ComfyNode, NodeOutput, StackSocket, io, option, schema
from .host.settings_json import read_settings, setting_inputs
from .live import NONE, has_preview
from .node_classes import ANNOTATOR_NODES

FROM_MODE = "from mode"
TITLE = "ControlNet"
SIDE = 512
"""Of the canvas in pixels, where the latent's would not win."""

ANNOTATORS_OF_THE_PANEL = {
    name: {
        "node": entry.node.__name__,
        "unused": sorted(entry.unused),
        "resizable": entry.resizable,
        "picture": entry.picture,
        "preview": has_preview(name),
    }
    for name, entry in ANNOTATOR_NODES.items()
}
"""What the files of web/js make rows and previews of, beside the inputs that those nodes declare."""


class ZeroctlControlNet(ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroctlControlNet",
            display_name=TITLE,
            category="zeroctl",
            description="One control as one node: it makes the condition image, loads the ControlNet and puts the "
            "control into the MODEL. The same as an annotator, Load ControlNet (strict), ControlNet Control and Apply "
            "ControlNets to Model one after the other.",
            search_aliases=[
                "control net",
                "apply controlnet",
                "preprocessor",
                "canny preprocessor",
                "openpose",
                "depth anything",
                "aux",
                "aio preprocessor",
                "pixel perfect",
                "controlnet is more important",
                "my prompt is more important",
                "guess mode",
            ],
            is_input_list=True,  # a list would run it once for each of its parts, see one_of_each
            enable_expand=True,
            hidden=list(HIDDEN),
            inputs=[
                io.Model.Input(
                    "model", tooltip="The MODEL to control. It is cloned; the one you connect stays as it is."
                ),
                io.Image.Input(
                    "image",
                    tooltip="The picture that the annotator makes a condition image of; with none as annotator, the "
                    "condition image itself.",
                ),
                io.Boolean.Input(
                    "enabled", default=True, tooltip="Off: the MODEL passes, and no ControlNet is loaded."
                ),
                io.Combo.Input(
                    "annotator",
                    options=[NONE, *ANNOTATOR_NODES],
                    default="canny",
                    tooltip="What to make of the image. none: it is a condition image already.",
                ),
                io.Combo.Input(
                    "control_net_name",
                    options=controlnet_names(),
                    tooltip="A file of ComfyUI's controlnet folders, trained on what the annotator draws.",
                ),
                *acting_inputs(),
                option(
                    io.String,
                    "settings",
                    default="{}",
                    socketless=True,
                    zeroctl_annotators=ANNOTATORS_OF_THE_PANEL,
                    tooltip="Settings of the annotator as JSON, by the names that its own node has, such as "
                    '{"low": 50, "high": 150}. Those that are not named have their defaults.',
                ),
                io.Latent.Input(
                    "latent",
                    optional=True,
                    tooltip="The latent to generate in: the image is annotated at the resolution that fits it, so that "
                    "its condition needs no resizing (pixel perfect).",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Where the control acts: 1 acts. With inpaint: where the picture is to be drawn anew; the "
                    "control then acts everywhere.",
                ),
                StackSocket.Input(
                    "stack", optional=True, tooltip="More controls, of ControlNet Control or ControlNet Stack."
                ),
                io.Vae.Input(
                    "vae", optional=True, tooltip="Only for nets that encode their condition image (Flux, SD3, Qwen)."
                ),
            ],
            outputs=[
                io.Model.Output(
                    display_name="MODEL",
                    tooltip="The MODEL with the control in it, for a sampler or a second ControlNet.",
                ),
                io.Image.Output(display_name="condition", tooltip="The condition image that the control sees."),
                io.String.Output(
                    display_name="report", tooltip="Family, weights, active steps, cost, what is lost of the image."
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> str:
        (enabled,), (name,) = inputs["enabled"], inputs["control_net_name"]
        return "" if enabled is False else fingerprint(controlnet_path(name))

    @classmethod
    def execute(cls, **inputs: Any) -> NodeOutput:
        values = one_of_each(TITLE, inputs)
        check_choice("mode", values["mode"], MODES)
        check_choice("resize", values["resize"], RESIZE_MODES)
        name = check_choice("annotator", values["annotator"], (NONE, *ANNOTATOR_NODES))
        graph = Expansion(cls)
        condition, mask = graph.link("image"), graph.link("mask")
        keep_last(values["image"])
        picture = None
        if name == NONE:
            read_settings(values["settings"], (), "the annotator none")
            picture = preview(check_image(values["image"]).movedim(1, -1), cls)
        else:
            condition = _annotated(graph, name, values)
            mask = None if ANNOTATOR_NODES[name].takes_mask else mask
        net = union = None
        if values["enabled"]:
            net = graph.add("load", "ZeroctlLoadControlNet", {"control_net_name": values["control_net_name"]})
            union = _typed(graph, name, values["control_net_name"])
        stack = graph.add(
            "control",
            "ZeroctlControl",
            {
                **{key: values[key] for key in ("strength", "start", "end", "mode", "resize", "enabled")},
                "control_net": net,
                "image": condition,
                "branches": FROM_MODE,
                "mask_feather": 0.0,
                "mask_invert": False,
                "mask": mask,
                "stack": graph.link("stack"),
                "vae": graph.link("vae"),
                "union": union,
            },
        )
        apply = {"model": graph.link("model"), "stack": stack, "if_never_applied": "warn"}
        model, report = (graph.add("apply", "ZeroctlApply", apply, output) for output in (0, 1))
        return graph.outputs(model, condition, report, ui=picture)


def _typed(graph: Expansion, annotator: str, control_net_name: str) -> Any:
    """The link to the type of a union net's condition, which the annotator says; None where there is none to tell."""
    number = None if annotator == NONE else ANNOTATOR_NODES[annotator].union_type
    if number is None or not is_union_file(controlnet_path(control_net_name)):
        return None
    return graph.add("union", "ZeroctlUnionCondition", {"union_type": UNION_TYPES[number], "strength": 1.0})


def _annotated(graph: Expansion, name: str, values: dict[str, Any]) -> Any:
    """The link to the condition image that an annotator makes of the image.

    Raises what `read_settings` raises, and `ValueError` without the mask that the annotator needs.
    """
    annotator = ANNOTATOR_NODES[name]
    node_id = annotator.node.__name__
    inputs = annotator.node.GET_SCHEMA().inputs
    settings = read_settings(values["settings"], setting_inputs(inputs, annotator.unused), name)
    others = {entry.id: entry.default for entry in inputs if entry.id in annotator.unused}
    sockets = {annotator.picture: graph.link("image")}
    if annotator.takes_mask:
        sockets["mask"] = graph.link("mask")
        if sockets["mask"] is None:
            raise ValueError(f"{name} needs a mask: connect one, 1 where the picture is to be drawn anew.")
    if annotator.resizable and values.get("latent") is not None:
        canvas = {"width": SIDE, "height": SIDE, "mode": values["resize"], "latent": graph.link("latent")}
        settings["resolution"] = graph.add("size", "ZeroctlHintSize", {"image": graph.link("image"), **canvas})
    return graph.add("annotate", node_id, {**settings, **others, **sockets})


NODES = [ZeroctlControlNet]
