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

from zeroctl_core import Crop, Rows
from zeroctl_core.canvas import Placed, prepared_mask, resize_condition
from zeroctl_core.latent import PIXELS_PER_CELL

from ..notices import notice
from ..preflight import check_stack
from ..units import Unit
from .areas import Conds, rows_of_call
from .lists import Control, add_control
from .on_device import OnDevice

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
        self._devices: dict[torch.device, OnDevice] = {}

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
                here = self._devices[device] = OnDevice(self, device)
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
        return prepared_mask(
            unit.mask,
            image_size=(unit.image.shape[-2], unit.image.shape[-1]),
            canvas_size=(canvas[0] * PIXELS_PER_CELL, canvas[1] * PIXELS_PER_CELL),
            mode=unit.resize,
            invert=unit.mask_invert,
            feather=unit.mask_feather,
        )

    def close(self) -> None:
        """Drop everything that lived for the run."""
        for here in self._devices.values():
            here.close()
        self._devices.clear()
        self._placed.clear()
        self._checked.clear()
