"""CONTROL_NET_STACK, the list that several packs share, each with rows of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from zeroctl_core import Schedule

from .host.condition_doubts import condition_doubts
from .host.handed_out import HandedOut
from .host.notices import own_notice
from .host.schema import ComfyNode, LegacyStackSocket, NodeOutput, StackSocket, io, schema
from .host.stack_rows import READERS, units_of_rows
from .host.units import Unit, UnitStack

LISTS = HandedOut()


class ZeroctlStackToLegacy(ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroctlStackToLegacy",
            display_name="ControlNet Stack to Other Packs",
            category="zeroctl/apply",
            description="For nodes of other packs that take a CONTROL_NET_STACK. What the plain format cannot say is "
            "reported.",
            search_aliases=["CONTROL_NET_STACK", "controlnet stacker"],
            inputs=[StackSocket.Input("stack", tooltip="Controls of this pack.")],
            outputs=[
                LegacyStackSocket.Output(
                    display_name="control_net_stack", tooltip="(net, image, strength, start, end) per control."
                ),
                io.String.Output(display_name="report", tooltip="What was left out, control by control."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> int:
        return LISTS.fingerprint()

    @classmethod
    def execute(cls, stack: UnitStack) -> NodeOutput:
        rows, lines = [], []
        for number, unit in enumerate(stack, start=1):
            if not unit.enabled:
                lines.append(f"control {number}: switched off, left out")
                continue
            lost = _cannot_say(unit)
            lines.append(f"control {number}: " + ("complete" if not lost else "not carried over: " + "; ".join(lost)))
            window = unit.schedule if unit.schedule.unit == "timestep" else Schedule()
            rows.append((unit.control_net, unit.image.movedim(1, -1), unit.strength, window.start, window.end))
        return NodeOutput(LISTS.new(rows), "\n".join([*lines, READERS]))


def _cannot_say(unit: Unit) -> list[str]:
    lost = []
    if unit.weighting.name != "uniform":
        lost.append(f"weights ({unit.weighting.name})")
    if unit.branches != "both":
        lost.append(f"branches {unit.branches}")
    if unit.schedule.unit != "timestep":
        lost.append(f"the window in {unit.schedule.unit} (it acts over the whole run)")
    if unit.schedule.curve.strip():
        lost.append(f"the curve {unit.schedule.curve}")
    if unit.mask is not None:
        lost.append("the mask")
    if unit.resize != "crop":
        lost.append(f"resize {unit.resize} (others crop)")
    if unit.vae is not None:
        lost.append("the vae")
    if unit.union:
        lost.append("the types of a union and their images")
    if unit.image_strengths is not None:
        lost.append("the strengths of single images")
    if unit.context is not None:
        lost.append("the context of its own")
    return lost


class ZeroctlStackFromLegacy(ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroctlStackFromLegacy",
            display_name="ControlNet Stack from Other Packs",
            category="zeroctl/apply",
            description="Controls of another pack's CONTROL_NET_STACK as a stack of this pack.",
            search_aliases=["CONTROL_NET_STACK", "controlnet stacker"],
            inputs=[
                LegacyStackSocket.Input("control_net_stack", tooltip="(net, image, strength, start, end) per control.")
            ],
            outputs=[
                StackSocket.Output(
                    display_name="stack",
                    tooltip="For Apply ControlNets to Model, or for the stack input of ControlNet Control.",
                ),
                io.String.Output(display_name="report", tooltip="What was taken over, control by control."),
            ],
        )

    @classmethod
    def execute(cls, control_net_stack: Any) -> NodeOutput:
        units, lines = [], []
        for number, unit in enumerate(units_of_rows(control_net_stack), start=1):
            if doubt := condition_doubts(unit.control_net, unit.image):
                own_notice(cls.define_schema().display_name, f"row {number}: {doubt}")
                unit = replace(unit, notes=(*unit.notes, doubt))
            units.append(unit)
            window = f"timesteps {unit.schedule.start:g} to {unit.schedule.end:g}"
            lines.append("; ".join([f"control {number}: strength {unit.strength:g}, {window}", *unit.notes]))
        return NodeOutput(tuple(units), "\n".join(lines) or "the CONTROL_NET_STACK is empty")


NODES = [ZeroctlStackToLegacy, ZeroctlStackFromLegacy]
