"""How an error names a thing: in the words of JSON, which a graph's user has before him, and never in Python's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...files.plural import SOME

SHORT = 40
"""So long may a value be that is repeated."""


def a_thing(value: object) -> str:
    """What `value` is, and its value where that is short: `the text "pose"`, `a list`, `the number 7`, `nothing`."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    for kinds, noun in (((str,), "text"), ((int, float), "number")):
        if isinstance(value, kinds):
            return f"the {noun} {text!r}" if noun == "text" and len(text) <= SHORT else _plain(noun, text)
    if isinstance(value, (list, tuple)):
        return "an empty list" if not value else "a list"
    return "an object" if isinstance(value, Mapping) else "something else"


def why_no_numbers(values: object) -> str:
    """What keeps nested lists from being rows of numbers: `is the text "a"`, `holds the text "a" at 3`, `has rows of 2
    and of 3 values`."""
    if not isinstance(values, (list, tuple)):
        return f"is {a_thing(values)}"
    for place, value in _flat(values):
        try:
            float(value)
        except (TypeError, ValueError, OverflowError):
            return f"holds {a_thing(value)} at {place}"
    lengths = sorted({len(row) if isinstance(row, (list, tuple)) else 1 for row in values})
    return f"has rows of {lengths[0]} and of {lengths[-1]} values" if len(lengths) > 1 else "is nested too deep"


def _flat(values: Sequence[Any], where: str = "") -> Iterator[tuple[str, Any]]:
    """The values in nested lists, each with its numbers from 0, as `4, 1`."""
    for number, value in enumerate(values):
        place = f"{where}{number}"
        if isinstance(value, (list, tuple)):
            yield from _flat(value, f"{place}, ")
        else:
            yield place, value


def entries_of(value: Mapping[Any, Any]) -> str:
    """The names in an object, a few of them, for `has the entries ...`."""
    names = [str(name)[:SHORT] for name in value]
    return (", ".join(names[:SOME]) + (", ..." if len(names) > SOME else "")) if names else "none"


def _plain(noun: str, text: str) -> str:
    return f"the {noun} {text}" if len(text) <= SHORT else f"a {noun}"
