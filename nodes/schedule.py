"""When a control acts, and how strongly over time."""

from __future__ import annotations

from zeroctl_core import Schedule
from zeroctl_core.control.curve import INTERPOLATIONS
from zeroctl_core.control.schedule import UNITS
from zeroctl_core.network.noise_levels import sd_percent_to_sigma, sd_sigmas

from .host.inputs import check_choice
from .host.notices import own_notice
from .host.schema import ComfyNode, NodeOutput, ScheduleSocket, io, option, schema
from .host.units import without_control

POINTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class ZeroctlSchedule(ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroctlSchedule",
            display_name="ControlNet Schedule",
            category="zeroctl/apply",
            description="From when to when a control acts, in the unit that you mean, and a curve of strength over "
            "time.",
            search_aliases=["timestep keyframe", "start percent", "end percent"],
            inputs=[
                io.Float.Input(
                    "start",
                    default=0.0,
                    min=0.0,
                    max=1000.0,
                    step=0.01,
                    tooltip="Where it begins, 0 to 1. In the unit sigma: the upper bound, 0 for none.",
                ),
                io.Float.Input(
                    "end",
                    default=1.0,
                    min=0.0,
                    max=1000.0,
                    step=0.01,
                    tooltip="Where it ends, 0 to 1. In the unit sigma: the lower bound, 0 for none; the default of 1 "
                    "leaves the steps below sigma 1 without control.",
                ),
                io.Combo.Input(
                    "unit",
                    options=list(UNITS),
                    default="timestep",
                    tooltip="timestep: share of the training timesteps, as ComfyUI counts. steps: share of the "
                    "steps of the run, as A1111. steps_diffusers: as diffusers. sigma: noise level.",
                ),
                io.String.Input(
                    "curve",
                    default="",
                    tooltip="Strength over time as value@position, for example 1@0, 0.6@0.5, 0@0.8. Empty: constant. "
                    "Positions are in the unit; beyond the ends the curve is constant.",
                ),
                option(
                    io.Combo,
                    "interpolation",
                    advanced=True,
                    options=list(INTERPOLATIONS),
                    default="linear",
                    tooltip="How the curve goes from point to point.",
                ),
                option(
                    io.Int,
                    "steps",
                    advanced=True,
                    default=0,
                    min=0,
                    max=10000,
                    optional=True,
                    tooltip="In the units steps and steps_diffusers: the steps of your whole run, where it is sampled "
                    "in parts and the graph does not say it. 0: those of the run at hand.",
                ),
            ],
            outputs=[
                ScheduleSocket.Output(display_name="schedule", tooltip="For the schedule input of ControlNet Control."),
                io.String.Output(
                    display_name="table", tooltip="The strength at eleven places of a Stable Diffusion run."
                ),
            ],
        )

    @classmethod
    def execute(cls, start: float, end: float, unit: str, curve: str, interpolation: str, steps: int = 0) -> NodeOutput:
        schedule = Schedule(
            start,
            end,
            unit=check_choice("unit", unit, UNITS),
            curve=curve,
            interpolation=check_choice("interpolation", interpolation, INTERPOLATIONS),
            steps=steps,
        )
        if (start, end) == (0.0, 1.0) and (text := without_control(schedule)):  # nobody set a window
            own_notice("ControlNet Schedule", text)
        return NodeOutput(schedule, _table(schedule))


def _table(schedule: Schedule) -> str:
    lines = [str(schedule)]
    sigmas = [sd_percent_to_sigma(point) for point in POINTS]
    sigmas[0] = sd_sigmas()[-1]  # percent 0 has a sentinel that no run ever holds
    strength = schedule.of_one_run.bind(sd_percent_to_sigma, sigmas)
    lines.append(
        "percent of the timesteps, sigma on Stable Diffusion, strength"
        + ("" if schedule.unit in ("timestep", "sigma") else " (in a run of ten steps)")
    )
    lines += [
        f"{100 * point:>4.0f} % {sigma:>8.3f} {strength(sigma):>8.4f}"
        for point, sigma in zip(POINTS, sigmas, strict=True)
    ]
    return "\n".join(filter(None, [*lines, without_control(schedule)]))


NODES = [ZeroctlSchedule]
