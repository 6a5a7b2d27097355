"""What lives for one sampling run: placed condition images, encoded features, ready foreign nets, what acted and was
said.

Created when the host starts a run and dropped when it ends, also after an interrupt or an error. Several devices may
call at once (the host's multi-GPU), so state is kept per device and made under a lock.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from zeroctl_core import ControlStack, ControlUnit, Crop, Residuals, Rows, Run
from zeroctl_core.canvas import Placed, place_mask, resize_condition
from zeroctl_core.mask import prepare_mask
from zeroctl_core.run import PIXELS_PER_CELL

from .areas import Conds, rows_of_call
from .family import family_of_model, foreign_weights
from .foreign import Foreign, foreign_name
from .lists import Control, add_control
from .loading import NetInHost, is_ours
from .memory import module_for
from .notices import notice
from .preflight import check_stack
from .units import Unit

__all__ = ["SamplingRun"]


class SamplingRun:
    """One sampling run of a MODEL that carries controls.

    units: those that can act. sigmas: of the run, None where somebody calls the model outside a run. canvas: latent
    (h, w).
    """

    def __init__(
        self, units: Sequence[Unit], guider: Any, sigmas: Tensor | None, canvas: tuple[int, int], batch: int
    ) -> None:
        self.units = tuple(units)
        self.guider = guider
        self.sigmas = None if sigmas is None else [float(sigma) for sigma in sigmas]
        self.canvas = canvas
        self.batch = batch
        self.acted: set[int] = set()
        self._checked: list[Any] = []  # models other than the guider's own
        self._said: set[str] = set()
        self._lock = threading.Lock()
        self._placed: dict[tuple[int, str, tuple[int, int]], Placed] = {}
        self._devices: dict[torch.device, _OnDevice] = {}

    @property
    def conds(self) -> dict[str, Any]:
        """The guider's lists by name: positive, negative and whatever else it has."""
        return getattr(self.guider, "conds", None) or {}

    def say_once(self, title: str, text: str, severity: str = "warn", key: str = "") -> None:
        """A notice, once a run for each `key` (else for each text)."""
        with self._lock:
            new = (key or text) not in self._said
            self._said.add(key or text)
        if new:
            notice(title, text, severity)

    def control(
        self, model: Any, x: Tensor, sigma: Tensor, cond: dict[str, Any], options: dict[str, Any], conds: Conds | None
    ) -> Control | None:
        """What all units add to the UNet in this call, in lists as the host has them; None when nothing acts.

        model: the host's BaseModel. x: [B, 4, h, w] before input scaling. sigma: [B]. cond: the call's other arguments.
        """
        size = (x.shape[-2], x.shape[-1])
        rows = rows_of_call(x.shape[0], size, options, conds)
        cropped = any(crop is not None for crop in rows.crops)
        if cropped and any(crop is None for crop in rows.crops):
            # an area cond that covers the canvas and a plain one in one call
            rows = replace(rows, crops=tuple(crop or Crop(0, 0, *size) for crop in rows.crops))
        canvas = conds.canvas if cropped and conds is not None else size
        if self.guider is not None:
            self._check_call(model, rows, canvas, options, conds)
        device = options.get("multigpu_thread_device", x.device)
        with self._lock:
            here = self._devices.get(device)
            if here is None:
                here = self._devices[device] = _OnDevice(self, device)
        ours = here.own(model, x, sigma, cond, rows, canvas)
        control: Control | None = (
            None if ours is None else {"input": [], "middle": [ours.middle], "output": list(ours.skips)}
        )
        return add_control(control, here.foreign(model, x, sigma, cond, rows, canvas, options))

    def _check_call(
        self, model: Any, rows: Rows, canvas: tuple[int, int], options: dict[str, Any], conds: Conds | None
    ) -> None:
        """Say once a run what another node did that this pack cannot follow, or check what it cannot know beforehand.

        Raises:
            ValueError: the guider runs a second MODEL that a control does not fit.
        """
        one_branch = any(unit.branches != "both" for unit in self.units)
        if one_branch and (conds is None or conds.guessed):
            self.say_once(
                "Roles guessed",
                "a node runs conditionings of its own, and a control acts on one branch only; the "
                "first list of such a call is taken as the positive one",
                "info",
            )
        if canvas != self.canvas:
            self.say_once(
                "Another size",
                f"a node gives the UNet latents of {canvas[1]}x{canvas[0]} cells in a run of "
                f"{self.canvas[1]}x{self.canvas[0]} and does not say which part they are; each gets the whole "
                "condition "
                "image. For tiles, use the host's Apply ControlNet with this pack's CONTROL_NET",
                key="Another size",
            )
        chunks = len(options.get("cond_or_uncond") or (0,))
        if options.get("context_window") is None and len(rows) != chunks * self.batch:
            self.say_once(
                "Another batch",
                f"a node gives the UNet {len(rows)} latents for {chunks} conditionings in a run of "
                f"{self.batch}; which latent is whose is taken from their order",
                key="Another batch",
            )
        if (
            model is not getattr(self.guider, "inner_model", model)
            and "multigpu_thread_device" not in options
            and model not in self._checked
        ):
            self._checked.append(model)
            check_stack(self.units, model)
            self.say_once(
                "Second model",
                "this guider runs a second MODEL with what the first one carries: the controls of the "
                "first act on both, and controls in the second are not used",
                "info",
            )

    def placed(self, unit: Unit, canvas: tuple[int, int]) -> Placed:
        """The unit's condition image on a canvas of (h, w) cells. One tensor for every unit with the same image and
        resize."""
        key = (id(unit.image), unit.resize, canvas)
        with self._lock:
            if key not in self._placed:
                self._placed[key] = resize_condition(
                    unit.image, canvas[0] * PIXELS_PER_CELL, canvas[1] * PIXELS_PER_CELL, unit.resize
                )
            return self._placed[key]

    def mask(self, unit: Unit, canvas: tuple[int, int]) -> Tensor | None:
        """The unit's mask on the canvas, [B, 1, 8h, 8w], feathered and inverted."""
        if unit.mask is None:
            return None
        # inverted before it is placed: where the picture has no pixels (the borders of fit) no control acts either way
        mask = prepare_mask(unit.mask.unsqueeze(1), invert=unit.mask_invert)
        height, width = unit.image.shape[-2:]
        mask = place_mask(mask, height, width, canvas[0] * PIXELS_PER_CELL, canvas[1] * PIXELS_PER_CELL, unit.resize)
        return prepare_mask(mask, feather=unit.mask_feather)

    def close(self) -> None:
        """Drop everything that lived for the run."""
        for here in self._devices.values():
            here.close()
        self._devices.clear()
        self._placed.clear()
        self._checked.clear()


class _OnDevice:
    """The part of a run that lives on one device."""

    def __init__(self, run: SamplingRun, device: torch.device) -> None:
        self._run = run
        self._device = device
        self._core: Run | None = None
        self._stacks: dict[tuple[int, int], tuple[ControlStack, tuple[int, ...]]] = {}
        self._foreign: dict[tuple[int, tuple[int, int]], Foreign] = {}

    def _core_run(self, model: Any) -> Run:
        if self._core is None:
            sampling = model.model_sampling
            self._core = Run(sampling.percent_to_sigma, self._run.sigmas or ())
        return self._core

    def _strength(self, index: int, model: Any, sigma: float) -> float:
        unit = self._run.units[index]
        return unit.strength * self._core_run(model).strength(unit.schedule, sigma)

    def own(
        self, model: Any, x: Tensor, sigma: Tensor, cond: dict[str, Any], rows: Rows, canvas: tuple[int, int]
    ) -> Residuals | None:
        """Our own nets: only the rows that see them, features encoded once, equal nets on equal images once."""
        if canvas not in self._stacks:
            self._stacks[canvas] = self._stack(model, canvas)
        stack, indices = self._stacks[canvas]
        level = float(sigma[0])
        acting = [
            i for i in indices if self._strength(i, model, level) != 0.0 and rows.seen_by(self._run.units[i].branches)
        ]
        if not acting:
            return None
        self._run.acted.update(acting)
        sampling = model.model_sampling
        context = cond.get("crossattn_controlnet")
        return stack(
            sampling.calculate_input(sigma, x),
            sampling.timestep(sigma).float(),
            cond["c_crossattn"] if context is None else context,
            y=cond.get("y"),
            sigma=level,
            run=self._core_run(model),
            rows=rows,
        )

    def _stack(self, model: Any, canvas: tuple[int, int]) -> tuple[ControlStack, tuple[int, ...]]:
        units, indices = [], []
        nets: dict[int, NetInHost] = {}
        images: dict[int, Tensor] = {}
        for index, unit in enumerate(self._run.units):
            if not is_ours(unit.control_net):
                continue
            module = module_for(model, unit.control_net)
            net = nets.setdefault(id(module), NetInHost(module, unit.control_net, self._device))
            placed = self._run.placed(unit, canvas).image
            image = images.setdefault(id(placed), placed.to(self._device))
            mask = self._run.mask(unit, canvas)
            units.append(
                ControlUnit(
                    net,
                    image,
                    strength=unit.strength,
                    weights=unit.weighting.resolve(net.base.connections),
                    schedule=unit.schedule,
                    branches=unit.branches,
                    mask=None if mask is None else mask.to(self._device),
                )
            )
            indices.append(index)
        return ControlStack(tuple(units)), tuple(indices)

    def foreign(
        self,
        model: Any,
        x: Tensor,
        sigma: Tensor,
        cond: dict[str, Any],
        rows: Rows,
        canvas: tuple[int, int],
        options: dict[str, Any],
    ) -> Control | None:
        """Everybody else's nets, one after the other."""
        total: Control | None = None
        for index, unit in enumerate(self._run.units):
            if is_ours(unit.control_net):
                continue
            strength = self._strength(index, model, float(sigma[0]))
            if strength == 0.0:
                continue
            if "multigpu_thread_device" in options:
                raise ValueError(
                    f"{foreign_name(unit.control_net)} is not a net of this pack and cannot run on several devices "
                    "at once. Remove the multi-GPU node, or load the net with ZeroctlLoadControlNet."
                )
            key = (index, canvas)
            if key not in self._foreign:
                self._foreign[key] = self._made_ready(unit, model, canvas)
            control = self._foreign[key].control(model, x, sigma, cond, rows, strength, options)
            if control is not None:
                self._run.acted.add(index)
                total = add_control(total, control)
        return total

    def _made_ready(self, unit: Unit, model: Any, canvas: tuple[int, int]) -> Foreign:
        placed = self._run.placed(unit, canvas).image
        image = unit.image if unit.resize == "crop" else placed
        mask = self._run.mask(unit, canvas)
        return Foreign(
            unit.control_net,
            image,
            placed,
            canvas,
            unit.vae,
            foreign_weights(unit, model),
            mask,
            unit.branches,
            family_of_model(model).connections,
        )

    def close(self) -> None:
        for foreign in self._foreign.values():
            foreign.close()
        self._foreign.clear()
        self._stacks.clear()
        self._core = None
