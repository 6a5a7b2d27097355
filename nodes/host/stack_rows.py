"""The rows of a CONTROL_NET_STACK: one name of a socket, and several formats behind it.

Sources: jags111/efficiency-nodes-comfyui (efficiency_nodes.py), Suzie1/ComfyUI_Comfyroll_CustomNodes
(nodes/nodes_controlnet.py), TinyTerra/ComfyUI_tinyterraNodes (ttNpy/tinyterraNodes.py), yolain/ComfyUI-Easy-Use
(py/nodes/loaders.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from zeroctl_core import Schedule
from zeroctl_core.files.plural import plural

from .inputs import check_number, naming, read_condition
from .loading import load_file
from .paths import controlnet_path
from .sockets import in_words
from .units import Unit

__all__ = ["READERS", "ROW", "units_of_rows"]

ROW = "(net, image, strength, start, end)"
FORMATS = (
    f"{ROW}, of Easy-Use (name, strength, start, end, soft weight, image, True), or of old Comfyroll "
    "(net, image, strength)"
)
READERS = (
    "rows of net, image, strength, start and end: Efficiency, Comfyroll, Art Venture and tinyterraNodes read them. "
    "Easy-Use does not, its rows begin with the name of a file"
)
"""Of the rows that this pack hands out, in words."""


@dataclass(frozen=True, kw_only=True)
class _Row:
    """One control of a row, in whichever format. net: a CONTROL_NET, or the name of its file."""

    net: Any
    image: Any
    strength: Any
    start: Any = 0.0
    end: Any = 1.0
    soft_weight: Any = 1.0


def units_of_rows(rows: Any) -> tuple[Unit, ...]:
    """The controls of a CONTROL_NET_STACK; None is an empty one. A file that several rows name is loaded once.

    Raises `ValueError`, with the number of the row, for what is not a row of a known format.
    """
    if rows is not None and not isinstance(rows, (list, tuple)):
        raise ValueError(f"a CONTROL_NET_STACK is a list of {FORMATS}; got {type(rows).__name__}.")
    load = cache(lambda name: load_file(controlnet_path(name)))
    units = []
    for number, row in enumerate(rows or (), start=1):
        with naming(f"row {number} of the CONTROL_NET_STACK"):
            units.append(_unit(_read(row), load))
    return tuple(units)


def _read(row: Any) -> _Row:
    if not isinstance(row, (tuple, list)):
        raise ValueError(f"it is of the type {type(row).__name__}, expected {FORMATS}.")
    if len(row) == 5:
        return _Row(net=row[0], image=row[1], strength=row[2], start=row[3], end=row[4])
    if len(row) == 3:
        return _Row(net=row[0], image=row[1], strength=row[2])
    if len(row) == 7:
        net, strength, start, end, soft_weight, image, _ = row
        return _Row(net=net, image=image, strength=strength, start=start, end=end, soft_weight=soft_weight)
    raise ValueError(f"it has {plural(len(row), 'value')}, expected {FORMATS}.")


def _unit(row: _Row, load: Callable[[str], Any]) -> Unit:
    for name in ("strength", "start", "end", "soft_weight"):
        value = getattr(row, name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"the {name.replace('_', ' ')} is {in_words(value)}, expected a number.")
        check_number(f"the {name.replace('_', ' ')}", value)
    image, note = read_condition(row.image)
    return Unit(
        control_net=_net(row.net, load),
        image=image,
        strength=row.strength,
        schedule=Schedule(row.start, row.end),
        notes=tuple(filter(None, (note, *_notes(row)))),
    )


def _net(net: Any, load: Callable[[str], Any]) -> Any:
    """The CONTROL_NET itself, or the file of that name: Easy-Use hands on names, and Comfyroll reads them."""
    if hasattr(net, "get_control"):
        return net
    if not isinstance(net, str) or net == "None":
        remark = ": 'None' means that no file was chosen" if net == "None" else ""
        raise ValueError(
            f"it starts with {type(net).__name__}, expected a CONTROL_NET or the name of a ControlNet file{remark}."
        )
    return load(net)


def _notes(row: _Row) -> tuple[str, ...]:
    if row.soft_weight == 1.0:
        return ()
    return (f"the soft weight {row.soft_weight:g} is not carried over: every connection has the weight 1",)
