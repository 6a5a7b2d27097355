"""Put a stack of controls into a MODEL."""

from __future__ import annotations

from typing import Any

from .host.hook.inject import next_number, with_controls
from .host.idle import POLICIES
from .host.inputs import check_choice
from .host.preflight import check_stack
from .host.report import report
from .host.schema import ComfyNode, NodeOutput, StackSocket, io, schema
from .host.units import UnitStack, numbered


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
                StackSocket.Input("stack", tooltip="Controls, from ControlNet Control or ControlNet Stack."),
                io.Combo.Input(
                    "if_never_applied",
                    options=list(POLICIES),
                    default="warn",
                    tooltip="When a control did not act in a run. warn: say so in the log and the browser. error: "
                    "stop, before sampling where it can be known then. ignore: say nothing.",
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
    def execute(cls, model: Any, stack: UnitStack, if_never_applied: str) -> NodeOutput:
        check_choice("if_never_applied", if_never_applied, POLICIES)
        units = numbered(stack, first=next_number(model))
        check_stack(units, model)
        return NodeOutput(with_controls(model, units, if_never_applied), report(units, model))


NODES = [ZeroctlApply]
