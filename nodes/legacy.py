"""CONTROL_NET_STACK, the plain list that several packs share: (net, image, strength, start, end) per control."""

from __future__ import annotations

from typing import Any

from zeroctl_core import Schedule
from zeroctl_core.files.key_faults import short
from zeroctl_core.files.plural import plural

from .host.inputs import check_number, naming, read_condition
from .host.schema import ComfyNode, LegacyStackSocket, NodeOutput, StackSocket, io, schema
from .host.sockets import in_words
from .host.units import Unit, UnitStack

ROW = "(net, image, strength, start, end)"


class ZeroctlStackToLegacy(ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroctlStackToLegacy",
            display_name="ControlNet Stack to CONTROL_NET_STACK",
            category="zeroctl/apply",
            description="For nodes of other packs that take a CONTROL_NET_STACK. What the plain format cannot say is "
            "reported.",
            inputs=[StackSocket.Input("stack", tooltip="Controls of this pack.")],
            outputs=[
                LegacyStackSocket.Output(
                    display_name="control_net_stack", tooltip="(net, image, strength, start, end) per control."
                ),
                io.String.Output(display_name="report", tooltip="What was left out, control by control."),
            ],
        )

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
        return NodeOutput(rows, "\n".join(lines))


def _cannot_say(unit: Unit) -> list[str]:
    lost = []
    if unit.weighting.name != "uniform":
        lost.append(f"weights ({unit.weighting.name})")
    if unit.branches != "both":
        lost.append(f"branches {unit.branches}")
    if unit.schedule.unit != "timestep":
        lost.append(f"the window in {unit.schedule.unit} (it acts over the whole run)")
    if unit.schedule.curve.strip():
        lost.append(f"the curve {short(unit.schedule.curve)}")
    if unit.mask is not None:
        lost.append("the mask")
    if unit.resize != "crop":
        lost.append(f"resize {unit.resize} (others crop)")
    if unit.vae is not None:
        lost.append("the vae")
    return lost


class ZeroctlStackFromLegacy(ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroctlStackFromLegacy",
            display_name="ControlNet Stack from CONTROL_NET_STACK",
            category="zeroctl/apply",
            description="Controls of another pack's CONTROL_NET_STACK as a stack of this pack.",
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
        for number, row in enumerate(control_net_stack or (), start=1):
            with naming(f"row {number} of the CONTROL_NET_STACK"):
                unit = _unit(row)
            units.append(unit)
            window = f"timesteps {unit.schedule.start:g} to {unit.schedule.end:g}"
            lines.append(f"control {number}: strength {unit.strength:g}, {window}")
        return NodeOutput(tuple(units), "\n".join(lines) or "the CONTROL_NET_STACK is empty")


def _unit(row: Any) -> Unit:
    """The control of a row. Raises `ValueError` for anything but (net, image, strength, start, end)."""
    if not isinstance(row, (tuple, list)):
        raise ValueError(f"it is of the type {type(row).__name__}, expected {ROW}.")
    if len(row) != 5:
        raise ValueError(f"it has {plural(len(row), 'value')}, expected {ROW}.")
    net, image, strength, start, end = row
    if not hasattr(net, "get_control"):
        raise ValueError(f"it starts with {type(net).__name__}, expected a CONTROL_NET.")
    for name, value in (("strength", strength), ("start", start), ("end", end)):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"the {name} is {in_words(value)}, expected a number.")
        check_number(f"the {name}", value)
    picture, note = read_condition(image)
    schedule, notes = Schedule(start, end), tuple(filter(None, (note,)))
    return Unit(control_net=net, image=picture, strength=strength, schedule=schedule, notes=notes)


NODES = [ZeroctlStackToLegacy, ZeroctlStackFromLegacy]
