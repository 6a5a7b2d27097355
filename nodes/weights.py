"""Weights per connection: a named rule, or numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zeroctl_core import BASES, RULES, ConnectionWeights
from zeroctl_core.bases import Base
from zeroctl_core.files.plural import plural

from .host.control_net import is_ours
from .host.controls_ahead import bases_ahead
from .host.inputs import check_choice, naming
from .host.schema import ComfyNode, NodeOutput, WeightsSocket, io, option, schema
from .host.units import WeightsChoice

MOST_LINES = 100
"""Numbers that the table shows for a net that is not known; the largest have some 60 outputs."""
EXAMPLES = ("sd15", "sdxl")  # bases of the table when nothing says which one is meant


class ZeroctlWeights(ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroctlWeights",
            display_name="ControlNet Weights",
            category="zeroctl/apply",
            description="How strong a control is at each place where it enters the UNet: a named rule, or your own "
            "numbers.",
            search_aliases=["soft weights", "control weights", "layer weights", "block weights", "controlnet weights"],
            inputs=[
                io.Combo.Input(
                    "rule",
                    options=list(RULES),
                    default="uniform",
                    tooltip="uniform: 1 everywhere. resolution: 64/h of the paper. soft: 0.825^(n-i). a1111_prompt: "
                    "A1111's soft weights. only_middle: the middle block alone.",
                ),
                option(
                    io.Combo,
                    "base",
                    advanced=True,
                    options=["auto", *BASES],
                    default="auto",
                    tooltip="auto: whatever net these weights meet. A name: refuse nets of another base.",
                ),
                io.String.Input(
                    "custom",
                    default="",
                    multiline=True,
                    tooltip="Your own numbers by comma, shallow to deep, the middle last: 13 for SD 1.5 and 2.1, 10 "
                    "for SDXL. When it is not empty it is used instead of the rule.",
                ),
                io.ControlNet.Input(
                    "control_net",
                    optional=True,
                    tooltip="Only to show the table for this net; the weights fit themselves to the net later.",
                ),
            ],
            outputs=[
                WeightsSocket.Output(display_name="weights", tooltip="For the weights input of ControlNet Control."),
                io.String.Output(display_name="table", tooltip="The numbers, per connection."),
            ],
        )

    @classmethod
    def execute(cls, rule: str, base: str, custom: str, control_net: Any = None) -> NodeOutput:
        check_choice("rule", rule, RULES)
        check_choice("base", base, ("auto", *BASES))
        choice = WeightsChoice(rule, base, custom)
        if choice.custom.strip():
            for file, ahead in bases_ahead().items():
                with naming(f"{file}, a control for {ahead.title}"):
                    choice.resolve(ahead.connections)
        return NodeOutput(choice, _table(choice, control_net))


def _table(choice: WeightsChoice, control_net: Any) -> str:
    lines = [f"{choice.name}, shallow to deep, the middle last"]
    if choice.custom.strip() and choice.rule != "uniform":
        lines[0] += f" (custom numbers are used, not the rule {choice.rule})"
    bases = _bases(choice, control_net)
    if not bases:
        lines += _of_another_net(ConnectionWeights.parse(choice.custom))
    for name, base in bases.items():
        lines += ["", f"{name}: connection, channels, cells, weight"]
        for place, (connection, weight) in enumerate(
            zip(base.connections, choice.resolve(base.connections), strict=True), 1
        ):
            lines.append(
                f"{place:>2} {connection.stage:<6} {connection.channels:>5} 1/{connection.downsample} {weight:9.4f}"
            )
    return "\n".join(lines)


def _bases(choice: WeightsChoice, control_net: Any) -> Mapping[str, Base]:
    """The bases that the weights may be for; none for an adapter or a transformer's net, which alone know theirs."""
    if is_ours(control_net):
        base = control_net.control_model.net.base
        return {base.name: base}
    if choice.base != "auto":
        return {choice.base: BASES[choice.base]}
    if not choice.custom.strip():
        return {name: BASES[name] for name in EXAMPLES}
    number = len(ConnectionWeights.parse(choice.custom))
    return {name: base for name, base in BASES.items() if len(base.connections) == number}


def _of_another_net(weights: ConnectionWeights) -> list[str]:
    counts = sorted({len(base.connections) for base in BASES.values()})
    lines = [
        "",
        f"for a net with {plural(len(weights), 'output')}; ControlNets for Stable Diffusion have "
        + " or ".join(map(str, counts)),
        *(f"{place:>2} {weight:9.4f}" for place, weight in enumerate(weights.values[:MOST_LINES], 1)),
    ]
    return lines + ([f"and {len(weights) - MOST_LINES} more"] if len(weights) > MOST_LINES else [])


NODES = [ZeroctlWeights]
