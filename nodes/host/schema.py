"""V3 node classes on every supported host.

The V3 constructors are strict: a field that a newer host knows (`search_aliases`, `advanced`) is a TypeError on
0.3.64, and the nodes after the bad one would be missing. `schema` drops the fields that this host's `io.Schema` does
not know, and `option` moves unknown input options to `extra_dict`, where every frontend reads those that it knows.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from comfy_api.latest import ComfyExtension, io, ui

from .sockets import check_inputs

__all__ = [
    "ComfyExtension",
    "ComfyNode",
    "StackSocket",
    "WeightsSocket",
    "ScheduleSocket",
    "UnionSocket",
    "TrainingDataSocket",
    "LegacyStackSocket",
    "LARGEST_SEED",
    "BoxesSocket",
    "PoseKeypointsSocket",
    "NodeOutput",
    "io",
    "option",
    "schema",
    "ui",
]

NodeOutput = io.NodeOutput
LARGEST_SEED = 2**32 - 1  # of a node: the browser counts to 2**53 without rounding

StackSocket = io.Custom("ZEROCTL_STACK")
WeightsSocket = io.Custom("ZEROCTL_WEIGHTS")
ScheduleSocket = io.Custom("ZEROCTL_SCHEDULE")
UnionSocket = io.Custom("ZEROCTL_UNION")
TrainingDataSocket = io.Custom("ZEROCTL_TRAINING_DATA")
# list of frames of people, shared by the host's pose nodes and other packs
PoseKeypointsSocket = io.Custom("POSE_KEYPOINT")
BoxesSocket = io.Custom("BOUNDING_BOX")  # of the host's object detection
LegacyStackSocket = io.Custom("CONTROL_NET_STACK")  # list[(net, image, strength, start, end)], shared by several packs

_SCHEMA_FIELDS = frozenset(inspect.signature(io.Schema).parameters)


class ComfyNode(io.ComfyNode):
    """A V3 node whose `execute` is called only with what its inputs can carry, see `check_inputs`."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # the host clones the classes of nodes, the finished `execute` among what it copies
        if "execute" in cls.__dict__ and not hasattr(cls.execute, "__wrapped__"):
            cls.execute = classmethod(_with_checked_inputs(cls.execute.__func__))


def _with_checked_inputs(execute: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(execute)
    def checked(cls: Any, *args: Any, **values: Any) -> Any:
        schema = cls.SCHEMA or cls.GET_SCHEMA()
        check_inputs(schema.inputs or (), values, as_lists=schema.is_input_list)
        return execute(cls, *args, **values)

    return checked


def schema(**fields: Any) -> io.Schema:
    """An `io.Schema` from the fields that this host's Schema knows; the others (search aliases and the like) are
    dropped."""
    return io.Schema(**{name: value for name, value in fields.items() if name in _SCHEMA_FIELDS})


def option(kind: Any, name: str, **options: Any) -> Any:
    """`kind.Input(name, ...)`; options that this host's class does not know travel in `extra_dict`."""
    options_of_host = inspect.signature(kind.Input.__init__).parameters
    extra = {key: options.pop(key) for key in list(options) if key not in options_of_host}
    widget = kind.Input(name, **options)
    if extra:
        widget.extra_dict = {**(widget.extra_dict or {}), **extra}
    return widget
