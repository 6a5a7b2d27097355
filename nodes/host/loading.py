"""ControlNet files as the host's CONTROL_NET, and the weights of their files again, to be saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import torch

from zeroctl_core import CheckpointError
from zeroctl_core.checkpoint.control import load_control
from zeroctl_core.checkpoint.of_model import is_of_model, load_of_model
from zeroctl_core.files.weight_file import open_weight_file

from .control_net import OwnNet, compute_dtypes, control_net_from, host_ops
from .describe import dtype_name
from .of_model import ControlOfModel, Merging, merging_of
from .paths import fingerprint

__all__ = ["as_in_file", "is_union_file", "load_file"]

UNION_KEY = "task_embedding"
_MERGINGS: WeakValueDictionary[str, Merging] = WeakValueDictionary()


def load_file(path: Path) -> Any:
    """A control's file as the host's CONTROL_NET; the file is read, and free once it is loaded.

    One that holds changes of a MODEL's weights gets the rest when it is sampled.

    Raises what `load_control` raises.
    """
    if is_of_model(path):
        return ControlOfModel(_merging(path))
    net = load_control(path, mapped=False, ops=lambda base, in_file: host_ops(*compute_dtypes(in_file), base.name))
    assert net.info is not None
    dtype, manual_cast = compute_dtypes(net.info.dtype)
    # converted once here instead of at every step
    return control_net_from(net.to(dtype), manual_cast, lambda: load_file(path))


def _merging(path: Path) -> Merging:
    """One for every loader of a file: its weights are read once, and merged once with a MODEL."""
    key = fingerprint(path)
    merging = _MERGINGS.get(key)
    if merging is None:
        merging = _MERGINGS[key] = Merging(load_of_model(path, mapped=False))
    return merging


def is_union_file(path: Path) -> bool:
    """Whether a file holds a union ControlNet, by its keys. What cannot be opened is none: loading says why."""
    try:
        keys = open_weight_file(path).tensors.keys()
    except (FileNotFoundError, CheckpointError):
        return False
    return any(key == UNION_KEY or key.endswith(f".{UNION_KEY}") for key in keys)


def as_in_file(control_net: Any) -> OwnNet:
    """Our network with the weights of its file, which the host may hold in another dtype; as it is if trained since.

    Raises `ValueError` where the file is gone and what is in memory is not what it held, and for a net without weights.
    """
    merging = merging_of(control_net)
    if merging is not None:
        raise ValueError(
            f"{merging.net.info.path.name} is a {merging.net.kind}: it becomes a ControlNet with the MODEL that is "
            "sampled, and without one there is nothing to save. The file itself is all of it."
        )
    net: OwnNet = control_net.control_model.net
    if net.info is None:
        return net
    in_memory = net.state_dict()
    if not net.info.path.exists():
        if {value.dtype for value in in_memory.values()} == {net.info.dtype}:
            return net
        raise ValueError(
            f"{net.info.path} is gone, and ComfyUI holds its {dtype_name(net.info.dtype)} weights as "
            f"{dtype_name(control_net.control_model.dtype)}: they cannot be saved as they were. Put the file back."
        )
    original = load_control(net.info.path, check_finite=False, mapped=False)
    original.global_average_pooling = net.global_average_pooling
    in_file = original.state_dict()
    same = in_file.keys() == in_memory.keys() and all(
        value.shape == in_file[key].shape and torch.equal(in_file[key].to(value.dtype), value.cpu())
        for key, value in in_memory.items()
    )
    return original if same else net
