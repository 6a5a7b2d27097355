"""Settings of an annotator as one line of text: `low=50, high=150`."""

from __future__ import annotations

from ..files.key_faults import short
from .annotator import Annotator
from .params import Param, Setting, Switch, Value

WORDS = {"true": True, "on": True, "yes": True, "false": False, "off": False, "no": False}


def parse_settings(annotator: Annotator, text: str) -> dict[str, Value]:
    """The settings that a text names, by comma or line.

    Raises `ValueError` for what is not `name=value`, a setting that is named twice or not known, and a value that it
    may not have.
    """
    params = {param.name: param for param in annotator.params}
    settings: dict[str, Value] = {}
    for part in filter(None, (piece.strip() for piece in text.replace("\n", ",").split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not name or not value:
            raise ValueError(f"settings hold {short(repr(part))}; expected name=value, such as low=50, high=150")
        if name in settings:
            raise ValueError(f"settings name {short(name)} twice")
        settings[name] = _value(params[name], value) if name in params else value
    annotator.check(**settings)
    return settings


def _value(param: Setting, text: str) -> Value:
    """The value that a text stands for; any other text is returned as it is, for the check to refuse."""
    if isinstance(param, Switch):
        return WORDS.get(text.lower(), text)
    if isinstance(param, Param):
        try:
            return int(text) if isinstance(param.default, int) else float(text)
        except ValueError:
            return text
    return text
