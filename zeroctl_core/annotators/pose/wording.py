"""How an error names a thing: in the words of JSON, which a graph's user has before him, and never in Python's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SHORT, SOME = 40, 6
"""So long may a value be that is repeated, and so many names or numbers are listed."""


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


def entries_of(value: Mapping[Any, Any]) -> str:
    """The names in an object, a few of them, for `has the entries ...`."""
    names = [str(name)[:SHORT] for name in value]
    return (", ".join(names[:SOME]) + (", ..." if len(names) > SOME else "")) if names else "none"


def some(numbers: Sequence[int]) -> str:
    """`0, 3`, and of many `0, 1, 2, 3, 4, 5 and 14 more`."""
    rest = len(numbers) - SOME
    return ", ".join(map(str, numbers[:SOME])) + (f" and {rest} more" if rest > 0 else "")


def _plain(noun: str, text: str) -> str:
    return f"the {noun} {text}" if len(text) <= SHORT else f"a {noun}"
