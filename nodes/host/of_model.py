"""Controls made of a MODEL's weights: a CONTROL_NET that gets its weights from the MODEL that is sampled."""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NoReturn

import comfy.controlnet
import comfy.model_management
import torch

from zeroctl_core import ControlNet
from zeroctl_core.network.control_lora import ControlLora
from zeroctl_core.network.of_model import NetOfModel, is_own

from .control_net import HostControlModel, compute_dtypes, control_net_from, host_ops
from .inputs import naming
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
        self.control_model, self.manual_cast_dtype = control_net.control_model, control_net.manual_cast_dtype

    def deepclone_multigpu(self, load_device: torch.device, autoregister: bool = False) -> NoReturn:
        raise ValueError(_on_several_devices(self.merging.net))

    def cleanup(self) -> None:
        self.control_model = self.merging.without_weights
        super().cleanup()


class Merging:
    """A control of that kind, and the CONTROL_NETs that were made of it.

    One is kept for each MODEL with its patches, for as long as somebody holds one that was sampled with it, or what
    that was cloned from.
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
        key = id(model.model), model.patches_uuid, self._is_low_rank(model)
        if key not in self._made:
            self._made[key] = self._control_net(weakref.ref(model))
        users = self._users.setdefault(key, set())
        while model is not None and (id(model.model), model.patches_uuid) == key[:2]:
            users.add(weakref.ref(model, lambda user: self._leave(key, user)))
            model = model.parent  # an Apply that runs again makes a new clone of the same MODEL
        return self._made[key]

    def in_words(self, model: Any) -> str:
        """For the report: the form that it takes with this MODEL, and how much memory."""
        merged = self._n_bytes_merged
        if not self._is_low_rank(model):
            return (
                f"{self.net.kind}: merged with the MODEL's weights, LoRAs included, before the first step of a first "
                f"run; {_mib(merged)} beside the MODEL"
            )
        size = sum(value.numel() for value in self.net.weights.values()) * compute_dtype(model).itemsize
        total = comfy.model_management.get_total_memory(model.load_device)
        return (
            f"{self.net.kind} in its form of low rank, around the MODEL's layers: {_mib(size)} beside the MODEL, and "
            f"somewhat slower. Merged it would take {_mib(merged)}, which with the MODEL's {_mib(model.model_size())} "
            f"leaves too little of {_mib(total)}"
        )

    @property
    def _n_bytes_merged(self) -> int:
        return sum(value.numel() * value.element_size() for value in self.without_weights.parameters())

    def _is_low_rank(self, model: Any) -> bool:
        return isinstance(self.net, ControlLora) and memory_is_short(model, self._n_bytes_merged)

    def _control_net(self, reference: weakref.ref[Any]) -> Any:
        model, start, name = reference(), time.perf_counter(), self.net.info.path.name
        weights = patched_weights(model)
        if self._is_low_rank(model):
            assert isinstance(self.net, ControlLora) and model is not None
            dtype = compute_dtype(model)
            ops = host_ops(dtype, None, self.net.base.name)
            net = self.net.low_rank(weights, model.model.diffusion_model.get_submodule, ops=ops, dtype=dtype)
            manual_cast, form = None, "put around the MODEL's layers in its form of low rank"
        else:
            net = self.net.merged(weights, ops=self.ops, dtype=self.dtypes[0])
            manual_cast, form = self.dtypes[1], "merged with the MODEL's weights"
        log.info("[zeroctl] %s: %s in %.1f s", name, form, time.perf_counter() - start)
        return control_net_from(net, manual_cast, lambda: self._control_net(reference))

    def _leave(self, key: Any, user: weakref.ref[Any]) -> None:
        users = self._users.get(key, set())
        users.discard(user)
        if not users:
            self._users.pop(key, None)
            self._made.pop(key, None)


def memory_is_short(model: Any, n_bytes: int) -> bool:
    """Whether so many bytes of weights beside the MODEL's leave too little of its device for what is computed there."""
    management = comfy.model_management
    if management.vram_state in (management.VRAMState.NO_VRAM, management.VRAMState.LOW_VRAM):
        return True
    room = management.get_total_memory(model.load_device) - management.minimum_inference_memory()
    return bool(model.model_size() + n_bytes > room)


def compute_dtype(model: Any) -> torch.dtype:
    """What the layers of a MODEL take and give."""
    dtype: torch.dtype = model.model.manual_cast_dtype or model.model.get_dtype()
    return dtype


def _mib(n_bytes: float) -> str:
    return f"{n_bytes / 2**20:,.0f} MiB"


def merging_of(control_net: Any) -> Merging | None:
    """What merges this CONTROL_NET; None for one that has weights of its own."""
    return control_net.merging if isinstance(control_net, ControlOfModel) else None


def with_weights(units: Sequence[Unit], model: Any) -> tuple[Unit, ...]:
    """The units as they act on this MODEL (a ModelPatcher of the host), those made of its weights merged with it.

    Raises `ValueError` for one of those where nobody says which MODEL is sampled, or where it runs on several devices.
    """

    def merged(unit: Unit) -> Unit:
        merging = merging_of(unit.control_net)
        if merging is None:
            return unit
        with naming(unit.title):
            _check_one_model(merging.net, model)
            return replace(unit, control_net=merging.control_net(model))

    return tuple(map(merged, units))


def _check_one_model(net: NetOfModel, model: Any) -> None:
    if model is None:
        raise ValueError(
            f"{net.info.path.name} is made of the weights of the MODEL that is sampled, and a node calls that MODEL "
            "past the sampler. Remove that node, or load a whole ControlNet."
        )
    if model.get_additional_models_with_key("multigpu"):
        raise ValueError(_on_several_devices(net))


def _on_several_devices(net: NetOfModel) -> str:
    return (
        f"{net.info.path.name} is made of the MODEL's weights and cannot run on several devices at once. Remove the "
        "multi-GPU node, or load a whole ControlNet."
    )


def check_of_model(unit: Unit, model: Any) -> None:
    """Raises `ValueError` for a control made of the MODEL's weights where this MODEL's are not fit for it."""
    if merging_of(unit.control_net) is not None:
        net: ControlNet = unit.control_net.control_model.net
        shapes = {key: tuple(value.shape) for key, value in net.state_dict().items() if not is_own(key)}
        check_readable(model, shapes)
