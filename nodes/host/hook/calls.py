"""The calls of the UNet in one sampling run: on which device each runs, what is added to it, which notices it needs."""

from __future__ import annotations

import threading
from typing import Any

import torch

from zeroctl_core.files.plural import plural

from ..preflight import check_stack
from .call import Call
from .lists import Control, add_control
from .on_device import OnDevice
from .run import SamplingRun

__all__ = ["Calls"]


class Calls:
    """What the units of a run add to its calls.

    Several devices may call at once (the host's multi-GPU), so state is kept per device and made under a lock.
    """

    def __init__(self, run: SamplingRun) -> None:
        self.run = run
        self._devices: dict[torch.device, OnDevice] = {}
        self._checked: list[Any] = []  # models other than the guider's own
        self._lock = threading.Lock()

    def control(self, call: Call) -> Control | None:
        """What all units add to the UNet in this call, in lists as the host has them; None when nothing acts."""
        if self.run.guider is not None:
            self._check(call)
        with self._lock:
            if call.device not in self._devices:
                self._devices[call.device] = OnDevice(self.run, call.device)
            here = self._devices[call.device]
        ours = here.own(call)
        control: Control | None = (
            None if ours is None else {"input": [], "middle": [ours.middle], "output": list(ours.skips)}
        )
        return add_control(control, here.foreign(call))

    def _check(self, call: Call) -> None:
        """Say once a run what another node did that this pack cannot follow, or check what it cannot know beforehand.

        Raises `ValueError` where the guider runs a second MODEL that a control does not fit.
        """
        run = self.run
        one_branch = any(unit.branches != "both" for unit in run.units)
        if one_branch and (call.conds is None or call.conds.guessed):
            run.say_once(
                "Roles guessed",
                "a node runs conditionings of its own, and a control acts on one branch only; the first list of such "
                "a call is taken as the positive one",
                "info",
            )
        if call.canvas != run.canvas:
            run.say_once(
                "Another size",
                f"a node gives the UNet latents of {call.canvas[1]}x{call.canvas[0]} cells in a run of "
                f"{run.canvas[1]}x{run.canvas[0]} and does not say which part they are; each gets the whole condition "
                "image. For tiles, use ComfyUI's own Apply ControlNet with this pack's CONTROL_NET",
                key="Another size",
            )
        if call.options.get("context_window") is None and len(call.rows) != call.chunks * run.batch:
            run.say_once(
                "Another batch",
                f"a node gives the UNet {plural(len(call.rows), 'latent')} for "
                f"{plural(call.chunks, 'conditioning')} in a run of {run.batch}; which latent is whose is taken from "
                "their order",
                key="Another batch",
            )
        if (
            call.model is not getattr(run.guider, "inner_model", call.model)
            and "multigpu_thread_device" not in call.options
            and call.model not in self._checked
        ):
            self._checked.append(call.model)
            check_stack(run.units, call.model)
            run.say_once(
                "Second model",
                "this guider runs a second MODEL with what the first one carries: the controls of the first act on "
                "both, and controls in the second are not used",
                "info",
            )

    def close(self) -> None:
        """Drop everything that lived for the run."""
        for here in self._devices.values():
            here.close()
        self._devices.clear()
        self._checked.clear()
        self.run.close()
