"""Weighting rules: from the connections of a control to one number for each, shallow to deep, the middle last.

A rule is one file in this folder with one function under `@RULES.register(name)`. It speaks of numbers only; which
side of the guidance sees the control is the second half of a mode.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..connections import Connection
from ..control.rows import Branches
from ..registry import Registry, import_files_of

Rule = Callable[[Sequence[Connection]], list[float]]

RULES: Registry[Rule] = Registry("weighting rule")
MODES: Registry[tuple[str, Branches]] = Registry("control mode")
"""The pairs of rule and branches that people know by a name."""

MODES.register("balanced")(("uniform", "both"))
MODES.register("prompt")(("a1111_prompt", "both"))  # A1111 "My prompt is more important"
MODES.register("control")(("a1111_prompt", "cond"))  # A1111 "ControlNet is more important"
MODES.register("paper")(("resolution", "cond"))  # arXiv 2302.05543, 3.4
MODES.register("paper_normalised")(("resolution_normalised", "cond"))
MODES.register("guess")(("soft", "cond"))  # guess mode of lllyasviel/ControlNet
MODES.register("guess_diffusers")(("diffusers_guess", "cond"))
MODES.register("middle")(("only_middle", "both"))

import_files_of(__name__, __path__)
