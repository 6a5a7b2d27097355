"""One configured control, and several of them as one stack."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from zeroctl_core import MODES, Schedule
from zeroctl_core.canvas import RESIZE_MODES
from zeroctl_core.control.image_strengths import ImageStrengths
from zeroctl_core.control.rows import BRANCHES, Branches
from zeroctl_core.network.union_controlnet import UNION_TYPES

from .host.acting_inputs import acting_inputs
from .host.condition_doubts import condition_doubts
from .host.inputs import check_choice, naming, read_condition, read_mask
from .host.notices import own_notice
from .host.on_canvas import title_here
from .host.own_context import read_context
from .host.schema import (
    ComfyNode,
    NodeOutput,
    ScheduleSocket,
    StackSocket,
    UnionSocket,
    WeightsSocket,
    io,
    option,
    schema,
)
from .host.units import REPAINT, UnionCondition, Unit, UnitStack, WeightsChoice, switch

TITLE = "ControlNet Control"
FROM_MODE = "from mode"
ROWS = 6


class ZeroctlControl(ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroctlControl",
            display_name=TITLE,
            category="zeroctl/apply",
            description="One control: a net, its condition image, and how it acts. Chain several through stack, then "
            "give the stack to Apply ControlNets to Model.",
            search_aliases=[
                "apply controlnet",
                "controlnet unit",
                "control net",
                "guess mode",
                "controlnet is more important",
                "my prompt is more important",
            ],
            inputs=[
                io.ControlNet.Input(
                    "control_net", tooltip="A ControlNet, from Load ControlNet (strict) or from any other loader."
                ),
                io.Image.Input(
                    "image", tooltip="The condition image, such as the output of an annotator. Not the photograph."
                ),
                *acting_inputs(),
                io.Boolean.Input(
                    "enabled", default=True, tooltip="Off: this control stays in the graph and does nothing."
                ),
                option(
                    io.Combo,
                    "branches",
                    advanced=True,
                    options=[FROM_MODE, *BRANCHES],
                    default=FROM_MODE,
                    tooltip="Which side of the guidance sees the control. cond alone costs half and follows harder.",
                ),
                option(
                    io.Float,
                    "mask_feather",
                    advanced=True,
                    default=0.0,
                    min=0.0,
                    max=1024.0,
                    step=1.0,
                    tooltip="Pixels over which the edge of the mask fades.",
                ),
                option(
                    io.Boolean,
                    "mask_invert",
                    advanced=True,
                    default=False,
                    tooltip="Act where the mask is 0 instead of where it is 1.",
                ),
                StackSocket.Input(
                    "stack",
                    optional=True,
                    tooltip="Controls before this one. Their effects add, order does not matter.",
                ),
                WeightsSocket.Input(
                    "weights", optional=True, tooltip="Weights per connection; wins over the rule of mode."
                ),
                ScheduleSocket.Input("schedule", optional=True, tooltip="When it acts; wins over start and end."),
                io.Mask.Input(
                    "mask", optional=True, tooltip="Where it acts: 1 acts. It covers the same extent as the image."
                ),
                io.Vae.Input(
                    "vae", optional=True, tooltip="Only for nets that encode their condition image (Flux, SD3, Qwen)."
                ),
                UnionSocket.Input(
                    "union",
                    optional=True,
                    tooltip="Only for union nets: the type of the image, and more images with theirs.",
                ),
                io.String.Input(
                    "image_strengths",
                    default="",
                    optional=True,
                    tooltip="For batches: a strength for each latent, such as 1, 0.5, 0, or a curve over their numbers "
                    "from 0, such as 1@0, 0@15. They multiply strength; nothing runs for 0.",
                ),
                io.Conditioning.Input(
                    "context",
                    optional=True,
                    tooltip="What this net reads in the place of the prompt, such as the positive of InstantID: its "
                    "face tokens. The controls beside it read the prompt.",
                ),
                io.Conditioning.Input(
                    "context_negative",
                    optional=True,
                    tooltip="The same for the uncond side, such as the negative of InstantID. Without it both sides "
                    "read context.",
                ),
            ],
            outputs=[StackSocket.Output(display_name="stack", tooltip="This control behind those of the stack input.")],
        )

    @classmethod
    def execute(
        cls,
        control_net: Any,
        image: Any,
        strength: float,
        start: float,
        end: float,
        mode: str,
        resize: str,
        enabled: bool,
        branches: str,
        mask_feather: float,
        mask_invert: bool,
        stack: UnitStack = (),
        weights: WeightsChoice | None = None,
        schedule: Schedule | None = None,
        mask: Any = None,
        vae: Any = None,
        union: Any = (),
        image_strengths: str | None = "",
        context: Any = None,
        context_negative: Any = None,
    ) -> NodeOutput:
        check_choice("mode", mode, MODES)
        check_choice("resize", resize, RESIZE_MODES)
        picture, picture_note = read_condition(image, resize=resize)
        mask, mask_note = (None, _without_mask(mask_feather, mask_invert)) if mask is None else read_mask(mask)
        union = tuple(union or ())
        doubts = _doubts(control_net, picture, union) if enabled and strength else []
        with naming("image_strengths"):
            strengths = ImageStrengths.parse(image_strengths or "")
        if any(condition.image is None and condition.type == REPAINT for condition in union):
            picture = picture.clamp(min=0.0)
        notes = [picture_note, *doubts, mask_note, *(condition.note for condition in union)]
        if schedule is None:
            schedule = Schedule(start, end)
        elif (start, end) != (0.0, 1.0):
            notes.append(f"the schedule socket wins over start {start:g} and end {end:g}")
        for text in filter(None, (*doubts, mask_note) if enabled else ()):
            own_notice(TITLE, text)
        unit = Unit(
            control_net=control_net,
            image=picture,
            strength=strength,
            mode=mode,
            branches=_branches(branches, mode),
            schedule=schedule,
            weights=weights,
            resize=resize,
            mask=mask,
            mask_feather=mask_feather,
            mask_invert=mask_invert,
            vae=vae,
            union=union,
            image_strengths=strengths,
            context=read_context(context, context_negative),
            enabled=enabled,
            notes=tuple(filter(None, notes)),
            made_by=title_here(TITLE),
        )
        return NodeOutput((*(stack or ()), unit))


def _doubts(control_net: Any, image: Tensor, union: tuple[UnionCondition, ...]) -> list[str]:
    """What is doubtful about the image of a control, and about each that a union net reads beside it."""
    doubts = [condition_doubts(control_net, image, [row.type for row in union if row.image is None])]
    for row in union:
        if row.image is not None and row.strength and (text := condition_doubts(control_net, row.image, [row.type])):
            doubts.append(f"Union Condition {UNION_TYPES[row.type]}: {text}")
    return doubts


def _without_mask(feather: float, invert: bool) -> str:
    """What is set for a mask where there is none, in words."""
    settings = [f"mask_feather {feather:g}"] if feather else []
    settings += ["mask_invert"] if invert else []
    return f"{' and '.join(settings)} without effect: no mask is connected" if settings else ""


def _branches(branches: str, mode: str) -> Branches:
    if check_choice("branches", branches, (FROM_MODE, *BRANCHES)) == FROM_MODE:
        return MODES[mode][1]
    return check_choice("branches", branches, BRANCHES)


class ZeroctlStack(ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        rows = range(1, ROWS + 1)
        return schema(
            node_id="ZeroctlStack",
            display_name="ControlNet Stack",
            category="zeroctl/apply",
            description="Several controls as one stack, each row with a switch. Rows that are not connected are left "
            "out.",
            search_aliases=["multi controlnet", "controlnet stacker"],
            inputs=[
                *(
                    io.Boolean.Input(
                        f"enabled_{row}", default=True, tooltip=f"Off: the controls of row {row} do nothing."
                    )
                    for row in rows
                ),
                *(
                    StackSocket.Input(
                        f"stack_{row}", optional=True, tooltip=f"Row {row}: a control, or a stack of them."
                    )
                    for row in rows
                ),
            ],
            outputs=[
                StackSocket.Output(
                    display_name="stack", tooltip="All rows as one stack, for Apply ControlNets to Model."
                )
            ],
        )

    @classmethod
    def execute(cls, **inputs: Any) -> NodeOutput:
        stack: list[Unit] = []
        for row in range(1, ROWS + 1):
            stack += switch(inputs.get(f"stack_{row}") or (), inputs[f"enabled_{row}"])
        return NodeOutput(tuple(stack))


NODES = [ZeroctlControl, ZeroctlStack]
