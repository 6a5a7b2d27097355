"""Controls made of a MODEL's weights: a CONTROL_NET that gets its weights from the MODEL that is sampled."""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import comfy.controlnet
import comfy.model_management

from zeroctl_core import ControlNet
from zeroctl_core.network.of_model import NetOfModel, is_own

from .control_net import HostControlModel, compute_dtypes, control_net_from, host_ops
from .patched_weights import check_readable, patched_weights
from .units import Unit

__all__ = ["ControlOfModel", "Merging", "check_of_model", "merging_of", "with_weights"]

log = logging.getLogger("zeroctl")


class ControlOfModel(comfy.controlnet.ControlNet):
    """A CONTROL_NET whose network is on meta until it meets a MODEL. Copies share what was merged.

    Our Apply asks `merging` for a CONTROL_NET with weights; the host's Apply gets it in `pre_run`.
    """

    def __init__(self, merging: Merging) -> None:
        super().__init__(None, load_device=comfy.model_management.get_torch_device())
        self.merging = merging
        self.control_model = merging.without_weights
        self.manual_cast_dtype = merging.dtypes[1]

    def copy(self) -> ControlOfModel:
        other = ControlOfModel(self.merging)
        self.copy_to(other)
        return other

    def get_models(self) -> list[Any]:
        """Those of the controls before this one: there is nothing to load yet."""
        models: list[Any] = comfy.controlnet.ControlBase.get_models(self)
        return models

    def pre_run(self, model: Any, percent_to_timestep_function: Callable[[float], float]) -> None:
        super().pre_run(model, percent_to_timestep_function)
        control_net = self.merging.control_net(model.current_patcher)
        # the MODEL too, or it would make room
        comfy.model_management.load_models_gpu([model.current_patcher, control_net.control_model_wrapped])
        self.control_model = control_net.control_model

    def cleanup(self) -> None:
        self.control_model = self.merging.without_weights
        super().cleanup()


class Merging:
    """A control of that kind, and the CONTROL_NETs that were made of it.

    One is kept for each MODEL with its patches, for as long as somebody holds a MODEL that was sampled with it.
    """

    def __init__(self, net: NetOfModel) -> None:
        self.net = net
        self.dtypes = compute_dtypes(net.info.dtype)
        self.ops = host_ops(*self.dtypes, net.base.name)
        self.without_weights = HostControlModel(net.on_meta(self.ops, self.dtypes[0]))
        self._made: dict[Any, Any] = {}
        self._users: dict[Any, set[weakref.ref[Any]]] = {}

    def control_net(self, model: Any) -> Any:
        """The CONTROL_NET for this MODEL (a ModelPatcher of the host) with its patches; may be interrupted.

        Raises `ValueError` for a MODEL that the control does not fit.
        """
        key = id(model.model), model.patches_uuid
        if key not in self._made:
            self._made[key] = self._merged(weakref.ref(model))
        self._users.setdefault(key, set()).add(weakref.ref(model, lambda user: self._leave(key, user)))
        return self._made[key]

    def in_words(self) -> str:
        """For the report: what it is, and what it takes beside the MODEL."""
        size = sum(value.numel() * value.element_size() for value in self.without_weights.parameters())
        return (
            f"{self.net.kind}: merged with the MODEL's weights, LoRAs included, before the first step of a first run, "
            f"{size / 2**20:.0f} MiB beside the MODEL"
        )

    def _merged(self, model: weakref.ref[Any]) -> Any:
        start = time.perf_counter()
        net = self.net.merged(patched_weights(model()), ops=self.ops, dtype=self.dtypes[0])
        seconds = time.perf_counter() - start
        log.info("[zeroctl] %s: merged with the MODEL's weights in %.1f s", self.net.info.path.name, seconds)
        return control_net_from(net, self.dtypes[1], lambda: self._merged(model))

    def _leave(self, key: Any, user: weakref.ref[Any]) -> None:
        users = self._users.get(key, set())
        users.discard(user)
        if not users:
            self._users.pop(key, None)
            self._made.pop(key, None)


def merging_of(control_net: Any) -> Merging | None:
    """What merges this CONTROL_NET; None for one that has weights of its own."""
    return control_net.merging if isinstance(control_net, ControlOfModel) else None


def with_weights(units: Sequence[Unit], model: Any) -> tuple[Unit, ...]:
    """The units as they act on this MODEL (a ModelPatcher of the host), those made of its weights merged with it."""

    def merged(unit: Unit) -> Unit:
        merging = merging_of(unit.control_net)
        return unit if merging is None else replace(unit, control_net=merging.control_net(model))

    return tuple(map(merged, units))


def check_of_model(unit: Unit, model: Any) -> None:
    """Raises `ValueError` for a control made of the MODEL's weights where this MODEL's are not fit for it."""
    if merging_of(unit.control_net) is not None:
        net: ControlNet = unit.control_net.control_model.net
        shapes = {key: tuple(value.shape) for key, value in net.state_dict().items() if not is_own(key)}
        check_readable(model, shapes)
