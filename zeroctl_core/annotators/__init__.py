"""Annotators: from a picture to the condition image that a ControlNet was trained on. One a file."""

from __future__ import annotations

from ..registry import import_files_of
from .annotator import ANNOTATORS, Annotator
from .params import Choice, Param, Switch

import_files_of(__name__, __path__)

__all__ = ["ANNOTATORS", "Annotator", "Choice", "Param", "Switch"]
