"""What is known about a stack before sampling, in words: the report of Apply ControlNets to Model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import comfy.samplers

from zeroctl_core import MODES
from zeroctl_core.control.steps import Steps
from zeroctl_core.files.key_faults import short

from .control_net import is_ours
from .family import family_of_model, unet_base
from .foreign_nets import foreign_weights, patches_network
from .idle import idle_cause
from .preflight import net_name
from .union_types import in_words, is_union, union_conditions
from .units import Unit, UnitStack, without_control

__all__ = ["headline", "never_acts", "report"]

STEPS = 20
NO_STEP = "none"
MOST_HEADLINES = 6
LONGEST_WEIGHTS = 1000
"""Characters of the weights of a net of another pack: numbers for 100 outputs and more."""
SCHEDULERS = ("normal", "karras", "exponential", "sgm_uniform", "simple", "beta")
TYPICAL = {"sdxl": 128, "tiny": 24}  # latent side at which the cost is counted; 64 elsewhere


def never_acts(unit: Unit, sampling: Any, steps: Steps) -> bool:
    """Whether no step of a run falls into the unit's window. sampling: the MODEL's."""
    return not unit.schedule.active_steps(sampling.percent_to_sigma, steps)


def report(stack: UnitStack, model: Any) -> str:
    """One paragraph a control: what it is, where and when it acts, what it costs."""
    lines = [f"MODEL: {family_of_model(model)}"]
    if not stack:
        return "\n".join([*lines, "Nothing can act: no control comes in. The MODEL passes through unchanged."])
    causes = {unit.number: idle_cause(unit, model) for unit in stack if unit.active}
    if not causes:
        lines.append(
            "Nothing can act: every control is switched off or has strength 0. The MODEL passes through unchanged."
        )
    elif all(causes.values()):
        lines.append("Nothing can act, for the reason below each control. The picture is the one without control.")
    for unit in stack:
        lines += ["", f"{unit.title}: {net_name(unit)}"]
        if not unit.enabled:
            lines.append("  switched off")
            continue
        if unit.strength == 0.0:
            lines.append("  strength 0: it never runs")
            continue
        if cause := causes[unit.number]:
            lines.append(f"  cannot act: {cause}. It never runs")
            continue
        lines += [f"  {line}" for line in (*_what(unit, model), *_window(unit, model), *_picture(unit), *unit.notes)]
    return "\n".join(lines)


def headline(stack: UnitStack, model: Any) -> str:
    """What matters of each control, a line each: `edges on SD 1.5, steps 1-20 of 20, +35 %`."""
    lines = [_headline(unit, model) for unit in stack[:MOST_HEADLINES]]
    if len(stack) > MOST_HEADLINES:
        lines.append(f"and {len(stack) - MOST_HEADLINES} more")
    return "\n".join(lines) or "no control: the MODEL passes unchanged"


def _headline(unit: Unit, model: Any) -> str:
    name = _short_name(unit)
    if not unit.active:
        return f"{name}: off" if not unit.enabled else f"{name}: off, strength 0"
    if cause := idle_cause(unit, model):
        return f"{name} cannot act: {cause.partition(';')[0].partition('. ')[0]}"
    steps = _steps(unit, model)
    if not is_ours(unit.control_net):
        return f"{name}, {steps}"
    net = unit.control_net.control_model.net
    share = None if steps.startswith("no step") else _share(net, unit, model)
    return f"{name} on {net.base.title}, {steps}" + ("" if share is None else f", +{100 * share:.0f} %")


def _short_name(unit: Unit) -> str:
    if unit.control_net is not None and is_ours(unit.control_net):
        info = unit.control_net.control_model.net.info
        if info is not None:
            return info.path.stem
    return net_name(unit)


def _steps(unit: Unit, model: Any) -> str:
    counts = _active_steps(unit, model)
    scheduler, first = next(iter(counts.items()))
    text = f"no step of {STEPS}" if first == NO_STEP else f"steps {first} of {STEPS}"
    return text if len(set(counts.values())) == 1 else f"{text} ({scheduler})"


def _active_steps(unit: Unit, model: Any) -> dict[str, str]:
    """Scheduler -> the active steps of a run, in words."""
    sampling, schedule = model.get_model_object("model_sampling"), unit.schedule.of_one_run
    counts = {}
    for name in SCHEDULERS:
        sigmas = [float(sigma) for sigma in comfy.samplers.calculate_sigmas(sampling, name, STEPS)]
        counts[name] = _ranges(schedule.active_steps(sampling.percent_to_sigma, sigmas))
    return counts


def _what(unit: Unit, model: Any) -> list[str]:
    choice = unit.weighting
    lines = [f"strength {unit.strength:g}, mode {unit.mode}, branches {unit.branches}"]
    if unit.weights is not None and MODES[unit.mode][0] != choice.name:
        lines.append(f"the weights socket ({choice.name}) wins over the mode's rule ({MODES[unit.mode][0]})")
    if not is_ours(unit.control_net):
        lines.append(
            "patches the MODEL's network itself, on all rows; its cost is not estimated"
            if patches_network(unit.control_net)
            else "runs through its own get_control, on the rows that see it; its cost is not estimated"
        )
        weights = foreign_weights(unit, model)
        if weights is not None:
            lines.append(
                f"weights ({choice.name}), in the order of its outputs: "
                + short(" ".join(f"{w:.4g}" for w in weights), LONGEST_WEIGHTS)
            )
        return lines
    net = unit.control_net.control_model.net
    weights = choice.resolve(net.base.connections)
    lines.insert(0, f"family {net.base.title}, {len(net.base.connections)} connections")
    if is_union(unit.control_net):
        types = in_words(union_conditions(unit)) or "none told (auto)"
        lines.append(f"types of a union, with their strengths, in one run of the net: {types}")
    lines.append(f"weights ({choice.name}), shallow to deep, middle last: " + " ".join(f"{w:.4g}" for w in weights))
    if net.global_average_pooling:
        lines.append(
            "its residuals are averaged over space; the original applies it on the cond branch only"
            + ("" if unit.branches == "cond" else ": set branches to cond for that")
        )
    lines.append(_cost(net, unit, model))
    return lines


def _share(net: Any, unit: Unit, model: Any) -> float | None:
    """Of the UNet's work in an active step with CFG; None for a UNet whose work is not known."""
    from zeroctl_core.network.cost import share_of_unet  # torch's counter is not imported for a host that only starts

    unet = unet_base(model)
    if unet is None:
        return None
    share = share_of_unet(net.base, unet, _side(net), _side(net))
    return share if unit.branches == "both" else share / 2


def _side(net: Any) -> int:
    return TYPICAL.get(net.base.name, 64)


def _cost(net: Any, unit: Unit, model: Any) -> str:
    share = _share(net, unit, model)
    if share is None:
        return "cost: not known for this UNet"
    return (
        f"cost: {100 * share:.1f} % of the UNet's work in an active step with CFG, counted at a "
        f"{_side(net)}x{_side(net)} latent" + ("" if unit.branches == "both" else f" ({200 * share:.1f} % without CFG)")
    )


def _window(unit: Unit, model: Any) -> list[str]:
    sampling = model.get_model_object("model_sampling")
    lines = []
    schedule = unit.schedule.of_one_run
    if schedule.unit == "timestep":
        first, last = sampling.percent_to_sigma(schedule.start), sampling.percent_to_sigma(schedule.end)
        high, low = min(first, float(sampling.sigma_max)), max(last, float(sampling.sigma_min))
        if high >= low:
            lines.append(
                f"active timesteps {_timestep(sampling, high):.0f} to {_timestep(sampling, low):.0f} "
                f"(sigma {high:.4g} to {low:.4g})"
            )
    else:
        lines.append(f"window {schedule.start:g} to {schedule.end:g} in {schedule.unit}")
        if text := without_control(schedule):
            lines.append(text)
    if unit.schedule.steps and schedule.counts_steps:
        lines.append(f"counted over the {unit.schedule.steps} steps of all parts of a run")
    if schedule.curve.strip():
        lines.append(f"times the curve {short(schedule.curve.strip())} ({schedule.interpolation})")
    counts = [f"{name} {steps}" for name, steps in _active_steps(unit, model).items()]
    lines.append(f"active steps of {STEPS}: " + "; ".join(counts))
    return lines


def _timestep(sampling: Any, sigma: float) -> float:
    import torch

    return float(sampling.timestep(torch.tensor([sigma])))


def _ranges(steps: Sequence[int]) -> str:
    """Steps counted from 1: `none`, `1-20`, `3-5,9`."""
    if not steps:
        return NO_STEP
    runs: list[list[int]] = []
    for step in steps:
        if runs and step == runs[-1][1] + 1:
            runs[-1][1] = step
        else:
            runs.append([step, step])
    return ",".join(f"{a + 1}" if a == b else f"{a + 1}-{b + 1}" for a, b in runs)


def _picture(unit: Unit) -> list[str]:
    height, width = unit.image.shape[-2:]
    batch = f", {unit.image.shape[0]} images" if unit.image.shape[0] > 1 else ""
    lines = [f"condition image {width}x{height}{batch}, resize {unit.resize}"]
    if unit.resize == "crop":
        share = min(width, height) / max(width, height)
        lines.append(
            f"a canvas of {width}:{height} keeps all of it, a square one loses {100 * (1 - share):.1f} %"
            if width != height
            else "a square canvas keeps all of it, a 3:2 one loses 33.3 %"
        )
    if unit.mask is not None:
        lines.append(
            f"mask covers {100 * float(unit.mask.mean()):.1f} %"
            + (", inverted" if unit.mask_invert else "")
            + (f", feather {unit.mask_feather:g} px" if unit.mask_feather else "")
        )
    return lines
