"""Put a stack of controls into a MODEL."""

from __future__ import annotations

from typing import Any

from .host.hook.inject import NEVER_ACTED, next_number, with_controls
from .host.idle import POLICIES, NeverApplied, why_none_acts
from .host.inputs import check_choice
from .host.notices import notice
from .host.on_canvas import canvas_node
from .host.preflight import check_stack
from .host.report import headline, report
from .host.schema import ComfyNode, NodeOutput, StackSocket, io, schema
from .host.shown import shown
from .host.units import UnitStack, numbered

PASSES = "The MODEL passes unchanged"


class ZeroctlApply(ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroctlApply",
            display_name="Apply ControlNets to Model",
            category="zeroctl/apply",
            description="Puts the controls into the MODEL: one wire, whatever the prompts are. What cannot work is "
            "refused here, before anything is sampled.",
            search_aliases=["apply controlnet", "control net"],
            inputs=[
                io.Model.Input(
                    "model", tooltip="The MODEL to control. It is cloned; the one you connect stays as it is."
                ),
                # not required: ComfyUI would refuse the graph when the node before it is bypassed
                StackSocket.Input(
                    "stack",
                    optional=True,
                    tooltip="Controls, from ControlNet Control or ControlNet Stack. With none the MODEL passes.",
                ),
                io.Combo.Input(
                    "if_never_applied",
                    options=list(POLICIES),
                    default="warn",
                    tooltip="When a control did not act in a run, or all are off. warn: say so in the log and the "
                    "browser. error: stop, before sampling where it can be known then. ignore: say nothing.",
                ),
            ],
            outputs=[
                io.Model.Output(display_name="MODEL", tooltip="The MODEL with the controls in it, for any sampler."),
                io.String.Output(
                    display_name="report", tooltip="Per control: family, weights, active steps, cost, what is lost."
                ),
            ],
        )

    @classmethod
    def execute(cls, model: Any, if_never_applied: str, stack: UnitStack | None = None) -> NodeOutput:
        check_choice("if_never_applied", if_never_applied, POLICIES)
        here = canvas_node()
        node = here.id if here else ""
        units = numbered(stack or (), next_number(model), node)
        cause = why_none_acts(units)
        if cause and if_never_applied == "error":
            raise NeverApplied(f"{cause}. Switch one on, or set if_never_applied to warn.")
        check_stack(units, model)
        if cause and if_never_applied == "warn":
            notice(NEVER_ACTED, f"{cause}. {PASSES}.", "info", node)
        text = report(units, model)
        lines = {"zeroctl_line": [headline(units, model)], "zeroctl_report": [text]}
        return NodeOutput(with_controls(model, units, if_never_applied), text, ui=shown(lines))


NODES = [ZeroctlApply]
