"""Settings of a node as JSON in one text: `{"low": 50, "high": 150}`, checked by what the node itself declares."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from zeroctl_core.files.key_faults import short

from .inputs import check_choice, naming
from .sockets import check_inputs, in_words

__all__ = ["read_settings", "setting_inputs"]

SETTINGS = ("FLOAT", "INT", "BOOLEAN", "STRING", "COMBO")
"""Types of the inputs that have a widget."""


def setting_inputs(inputs: Sequence[Any], unused: Collection[str] = ()) -> list[Any]:
    """Those of a schema's inputs that have a widget, without the `unused`."""
    return [entry for entry in inputs if entry.get_io_type() in SETTINGS and entry.id not in unused]


def read_settings(text: str, inputs: Sequence[Any], owner: str) -> dict[str, Any]:
    """The value of every input: of the text, else its default.

    inputs: of a schema, with widgets. owner: whose settings they are, for messages.
    Raises `ValueError` for what is not one JSON object, a setting that is named twice or not known, and a value that
    its input does not take.
    """
    values = _object(text, owner)
    entries = {entry.id: entry for entry in inputs}
    for name in values:
        if name not in entries:
            raise ValueError(
                f"settings name {short(repr(name))}, which {owner} does not have; known are: "
                f"{', '.join(entries) or 'none'}. Remove it, or choose the annotator that has it."
            )
    for name, value in values.items():
        with naming(f"settings of {owner}"):
            _check(entries[name], value)
    return {name: _typed(entry, values[name]) if name in values else _default(entry) for name, entry in entries.items()}


def _typed(entry: Any, value: Any) -> Any:
    """A number as the host hands it on: JSON writes 64 and 64.0 for either kind."""
    kind = entry.get_io_type()
    return int(value) if kind == "INT" else float(value) if kind == "FLOAT" else value


def _object(text: str, owner: str) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{short(repr(name))} stands there twice")
        return dict(pairs)

    fault = ""
    try:
        values = json.loads(text, object_pairs_hook=once) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        fault = f" ({short(str(error))})"
    if fault or not isinstance(values, dict):
        raise ValueError(
            f'settings are {in_words(text)}, expected a JSON object with settings of {owner}, such as {{"name": 1}}, '
            f"or {{}} for its defaults{fault}."
        )
    return values


def _check(entry: Any, value: Any) -> None:
    kind = entry.get_io_type()
    if isinstance(value, bool) != (kind == "BOOLEAN"):  # 1 is a number and true a switch, here
        expected = "true or false" if kind == "BOOLEAN" else "a number" if kind in ("INT", "FLOAT") else "a text"
        raise ValueError(f"{entry.id} is {in_words(value)}, expected {expected}.")
    check_inputs([entry], {entry.id: value})
    if kind == "COMBO":
        check_choice(entry.id, value, entry.options)
    if kind in ("INT", "FLOAT") and not entry.min <= value <= entry.max:
        raise ValueError(
            f"{entry.id} is {value}, expected a number from {entry.min} to {entry.max} (default {entry.default})."
        )


def _default(entry: Any) -> Any:
    """What a front end fills in: of files, which have no default, the first."""
    return entry.options[0] if entry.default is None else entry.default
