"""The part of a sampling run that lives on one device: the stack of our nets, the foreign nets, what they keep."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from zeroctl_core import ControlStack, ControlUnit, Residuals, Run

from ..control_net import NetInHost, is_ours
from ..family import family_of_model
from ..foreign_nets import foreign_name, foreign_weights
from ..inputs import naming
from ..union_types import union_conditions
from ..units import UnionCondition, Unit
from .call import Call
from .foreign import Foreign
from .lists import PLACES, Control, add_control
from .memory import module_for
from .run import SamplingRun

__all__ = ["OnDevice"]

FOREIGN = "foreign"


class OnDevice:
    """State of one run on one device. Only the thread of that device calls it."""

    def __init__(self, run: SamplingRun, device: torch.device) -> None:
        self._run = run
        self._device = device
        self._core: Run | None = None
        self._stacks: dict[tuple[int, int], tuple[ControlStack, tuple[int, ...]]] = {}
        self._foreign: dict[tuple[int, tuple[int, int]], Foreign] = {}

    def _core_run(self, model: Any) -> Run:
        if self._core is None:
            sampling = model.model_sampling
            self._core = Run(sampling.percent_to_sigma, self._run.steps or ())
        return self._core

    def _strength(self, index: int, call: Call) -> float:
        """Of a foreign net in this call. The noise level is read back only where the schedule depends on it."""
        unit = self._run.units[index]
        if unit.schedule.open_throughout:
            return unit.strength
        return unit.strength * self._core_run(call.model).strength(unit.schedule, call.level)

    def own(self, call: Call) -> Residuals | None:
        """Our own nets: only the rows that see them, features encoded once, equal nets on equal images once."""
        model, canvas = call.model, call.canvas
        if canvas not in self._stacks:
            self._stacks[canvas] = self._stack(model, canvas)
        stack, indices = self._stacks[canvas]
        self._core_run(model).overflow.begin(call.x)
        level = call.level if stack.needs_sigma else None
        acting = stack.acting(level, self._core_run(model), call.rows)
        if not acting:
            return None
        self._run.acted.update(indices[place] for place in acting)
        sampling = model.model_sampling
        context = call.cond.get("crossattn_controlnet")
        return stack(
            sampling.calculate_input(call.sigma, call.x),
            sampling.timestep(call.sigma).float(),
            call.cond["c_crossattn"] if context is None else context,
            y=call.cond.get("y"),
            sigma=level,
            run=self._core_run(model),
            rows=call.rows,
        )

    def _stack(self, model: Any, canvas: tuple[int, int]) -> tuple[ControlStack, tuple[int, ...]]:
        units, indices = [], []
        nets: dict[Any, NetInHost] = {}
        images: dict[int, tuple[Tensor, Tensor]] = {}  # by identity: each beside what it was moved from
        for index, unit in enumerate(self._run.units):
            if not is_ours(unit.control_net):
                continue
            module = module_for(model, unit.control_net)
            with naming(unit.title):
                conditions = union_conditions(unit)
                types = tuple(condition.type for condition in conditions)
                inside, outside = _strengths(conditions)
                net = NetInHost(module, unit.control_net, self._device, types, inside)
                net = nets.setdefault((id(module), types, inside), net)
                image = self._condition(unit, conditions, canvas)
                units.append(
                    ControlUnit(
                        net,
                        images.setdefault(id(image), (image, image.to(self._device)))[1],
                        strength=unit.strength * outside,
                        weights=unit.weighting.resolve(net.base.connections),
                        schedule=unit.schedule,
                        branches=unit.branches,
                        mask=self._run.mask(
                            unit, canvas
                        ),  # on the CPU: its zeros are read without waiting for a device
                        image_strengths=unit.image_strengths,
                        context=unit.context,
                        scan=False,
                    )
                )
            indices.append(index)
        return ControlStack(tuple(units)), tuple(indices)

    def _condition(self, unit: Unit, conditions: Sequence[UnionCondition], canvas: tuple[int, int]) -> Tensor:
        """The unit's condition on a canvas, [n, 3, 8h, 8w]; of a union net with several types they stand side by side,
        [n, 3k, 8h, 8w], and sample r has image r mod n of each."""
        pictures = [condition.image for condition in conditions if condition.image is not None] or [unit.image]
        places = [self._run.placed(replace(unit, image=picture), canvas).image for picture in pictures]
        if len(places) == 1:
            return places[0]
        rows = torch.arange(min(math.lcm(*map(len, places)), self._run.batch))
        return torch.cat([place[rows % len(place)] for place in places], dim=1)

    def foreign(self, call: Call) -> Control | None:
        """Everybody else's nets, one after the other."""
        total: Control | None = None
        for index, unit in enumerate(self._run.units):
            if is_ours(unit.control_net):
                continue
            strength = self._strength(index, call)
            if strength == 0.0:
                continue
            with naming(unit.title):
                control = self._of_foreign(index, call, strength)
            if control is not None:
                self._run.acted.add(index)
                maps = [value for place in PLACES for value in control.get(place, ()) if value is not None]
                overflow = self._core_run(call.model).overflow
                overflow.watch(((FOREIGN, index),), {id(value): value for value in maps}.values())
                total = add_control(total, control)
        return total

    def _of_foreign(self, index: int, call: Call, strength: float) -> Control | None:
        unit = self._run.units[index]
        if "multigpu_thread_device" in call.options:
            raise ValueError(
                f"{foreign_name(unit.control_net)} is not a net of this pack and cannot run on several devices at "
                "once. Remove the multi-GPU node, or load the net with Load ControlNet (strict)."
            )
        key = (index, call.canvas)
        if key not in self._foreign:
            self._foreign[key] = self._prepare(unit, call.model, call.canvas)
        return self._foreign[key].control(call, strength)

    def _prepare(self, unit: Unit, model: Any, canvas: tuple[int, int]) -> Foreign:
        canvas_image = self._run.placed(unit, canvas).image
        return Foreign(
            unit.control_net,
            image=unit.image if unit.resize == "crop" else canvas_image,
            canvas_image=canvas_image,
            canvas=canvas,
            vae=unit.vae,
            weights=foreign_weights(unit, model),
            mask=self._run.mask(unit, canvas),
            branches=unit.branches,
            strengths=unit.image_strengths,
            context=unit.context,
            connections=family_of_model(model).connections,
        )

    def overflowed(self) -> set[int]:
        """The units of the run that first added something that is not finite. Waits for the device."""
        units: set[Any] = set() if self._core is None else self._core.overflow.units()
        own = next((indices for _, indices in self._stacks.values()), ())
        return {unit[1] if isinstance(unit, tuple) else own[unit] for unit in units}

    def close(self) -> None:
        for foreign in self._foreign.values():
            foreign.close()
        self._foreign.clear()
        self._stacks.clear()
        self._core = None


def _strengths(conditions: Sequence[UnionCondition]) -> tuple[tuple[float, ...] | None, float]:
    """Of the conditions of a union net: inside it where there are several, and of one at what it adds."""
    if len(conditions) > 1:
        return tuple(condition.strength for condition in conditions), 1.0
    return None, conditions[0].strength if conditions else 1.0
