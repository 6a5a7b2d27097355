"""Which annotator a preview in the browser asks for, with its settings checked as its node checks them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zeroctl_core.annotators import ANNOTATORS, Annotator

from .host.inputs import check_choice
from .host.settings_json import read_settings, setting_inputs
from .node_classes import ANNOTATOR_NODES

__all__ = ["NONE", "has_preview", "wanted"]

NONE = "none"
"""In place of an annotator: the picture is a condition already."""


def has_preview(name: str) -> bool:
    """Whether the condition can be drawn from the picture alone, with some settings at least."""
    return name in ANNOTATORS and ANNOTATORS[name].kind == "image"


def wanted(name: str, settings: str) -> tuple[Annotator | None, Mapping[str, Any]]:
    """The annotator of this name, None for none, and all its settings, of a JSON object or their defaults.

    Raises `ValueError` for a name or settings that its node would refuse.
    """
    check_choice("annotator", name, (NONE, *ANNOTATOR_NODES))
    if name == NONE:
        return None, read_settings(settings, (), "the annotator none")
    node = ANNOTATOR_NODES[name]
    values = read_settings(settings, setting_inputs(node.node.GET_SCHEMA().inputs, node.unused), name)
    if not has_preview(name):
        raise ValueError(f"{name} needs more than a picture; its condition shows after a run.")
    return ANNOTATORS[name], values
