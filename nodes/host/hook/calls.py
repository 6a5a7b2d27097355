"""The calls of the UNet in one sampling run: on which device each runs, what is added to it, which notices it needs."""

from __future__ import annotations

import threading
from typing import Any

import torch

from zeroctl_core.files.plural import plural

from ..control_net import as_control
from ..preflight import check_stack, net_name
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
        self.run.roles.update(call.rows.roles)
        if self.run.guider is not None:
            self._check(call)
        with self._lock:
            if call.device not in self._devices:
                self._devices[call.device] = OnDevice(self.run, call.device)
            here = self._devices[call.device]
        ours = here.own(call)
        control: Control | None = None if ours is None else as_control(ours)
        return add_control(control, here.foreign(call))

    def _check(self, call: Call) -> None:
        """Say once a run what another node did that this pack cannot follow, or check what it cannot know beforehand.

        Raises `ValueError` where the guider runs a second MODEL that a control does not fit, and where it is not known
        which images belong to the rows.
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
        self._check_samples(call)
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

    def _check_samples(self, call: Call) -> None:
        """Nothing is amiss where every sample has the same image and mask, or each row its sample."""
        run = self.run
        unit = next((unit for unit in run.units if unit.per_sample), None)
        if unit is None or call.latents == run.batch or call.names_samples:
            return
        raise ValueError(
            f"a node gives the UNet {plural(call.latents, 'latent')} of each conditioning, in a run of {run.batch}, "
            f"and does not say which of the run's they are; {unit.title} has {unit.per_sample}, one a latent. Window "
            "the batch with ComfyUI's or AnimateDiff-Evolved's context windows, which say it, remove the node that "
            "splits the batch, or give the control one image and one mask."
        )

    def say_overflow(self) -> None:
        """A notice for each control that added something that is not finite; the run is over by then."""
        for index in sorted(set().union(*(here.overflowed() for here in self._devices.values()))):
            unit = self.run.units[index]
            self.run.say_once(
                "Control overflowed",
                f"{unit.title} ({net_name(unit)}) added numbers that are not finite (NaN or infinity), and the picture "
                "is black or noise. Lower its strength or its weights; where ComfyUI computes in float16, start it "
                "with --bf16-unet or --fp32-unet.",
                node=unit.node,
            )

    def close(self) -> None:
        """Drop everything that lived for the run."""
        for here in self._devices.values():
            here.close()
        self._devices.clear()
        self._checked.clear()
        self.run.close()
