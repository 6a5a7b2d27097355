"""The facts of one sampling run: its condition images and masks on the canvas, which units acted, which notices went.

Made when the host starts a run and dropped when it ends, also after an interrupt or an error. Several devices may call
at once (the host's multi-GPU): what is made on first use is made under a lock.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from zeroctl_core.canvas import Placed
from zeroctl_core.canvas.cells import PIXELS_PER_CELL
from zeroctl_core.control.steps import Steps
from zeroctl_core.files.plural import plural

from ..notices import notice
from ..units import Unit
from .graph import WHOLE, Place
from .placed import placed_image, placed_mask

__all__ = ["SamplingRun"]


FAINT = 1 / 255
"""A mask below one level of 8 bits everywhere changes no picture."""


class SamplingRun:
    """One sampling run of a MODEL that carries controls.

    units: those that can act. canvas: latent (h, w). steps: of the run, None where somebody calls the model outside
    one. place: where it lies in the user's run.
    """

    def __init__(
        self,
        *,
        units: Sequence[Unit],
        guider: Any,
        canvas: tuple[int, int],
        batch: int,
        steps: Steps | None = None,
        place: Place = WHOLE,
    ) -> None:
        self.units = tuple(units)
        self.guider = guider
        self.steps = steps
        self.place = place
        self.canvas = canvas
        self.batch = batch
        self.acted: set[int] = set()
        self.roles: set[str] = set()  # that came past the hook
        self._notices: set[str] = set()
        self._lock = threading.Lock()
        self._placed: dict[tuple[int, str, tuple[int, int]], Placed] = {}
        self._masks: dict[tuple[int, tuple[int, int]], Tensor] = {}

    @property
    def conds(self) -> dict[str, Any]:
        """The guider's lists by name: positive, negative and whatever else it has."""
        return getattr(self.guider, "conds", None) or {}

    def say_once(self, title: str, text: str, severity: str = "warn", *, key: str = "", node: str = "") -> None:
        """A notice, once a run for each `key` (else for each text). node: of the canvas, see `notice`."""
        with self._lock:
            new = (key or text) not in self._notices
            self._notices.add(key or text)
        if new:
            notice(title, text, severity, node)

    def placed(self, unit: Unit, canvas: tuple[int, int]) -> Placed:
        """The unit's condition image on a canvas of (h, w) cells. One tensor for every unit with the same image and
        resize."""
        key = (id(unit.image), unit.resize, canvas)
        with self._lock:
            if key not in self._placed:
                height, width = (PIXELS_PER_CELL * cells for cells in canvas)
                self._placed[key] = placed_image(unit.image, height, width, unit.resize)
            return self._placed[key]

    def mask(self, unit: Unit, canvas: tuple[int, int]) -> Tensor | None:
        """The unit's mask on the canvas, [B, 1, 8h, 8w], feathered and inverted; may be interrupted."""
        if unit.mask is None:
            return None
        key = (id(unit), canvas)
        with self._lock:
            if key not in self._masks:
                height, width = (PIXELS_PER_CELL * cells for cells in canvas)
                self._masks[key] = placed_mask(unit, unit.mask, (height, width))
            return self._masks[key]

    def idle_cause(self, unit: Unit) -> str:
        """What makes the unit's mask 0 on all of this run's canvas, for each of its samples, or the strengths of all of
        its images; empty where nothing does.

        An area of a conditioning may still miss what the mask holds, which only the run shows.
        """
        strengths = unit.image_strengths
        if strengths is not None and not any(strengths.of(range(self.batch))):
            return (
                f"its image_strengths are 0 for the {plural(self.batch, 'latent')} of this run. Give one of them "
                "another value"
            )
        mask = self.mask(unit, self.canvas)
        if mask is None:
            return ""
        highest = float(mask[: self.batch].amax())
        if highest >= FAINT:
            return ""
        if highest > 0.0:
            return (
                f"its mask is nowhere above {highest:.2g} on the {self.canvas[1]}x{self.canvas[0]} cells of this run: "
                "its lines are much thinner than a pixel of the picture, or its values are. Draw them thicker"
            )
        if mask.any():
            latents = plural(self.batch, "latent")
            return f"of its {len(mask)} masks, those for the {latents} of this run are 0 everywhere. Reorder the masks"
        return (
            f"its mask is 0 everywhere on the {self.canvas[1]}x{self.canvas[0]} cells of this run: what it holds is in "
            f"the part of the picture that resize {unit.resize} cuts away. Set resize to fit or stretch, or sample in "
            "the picture's proportions"
        )

    def close(self) -> None:
        """Drop everything that lived for the run."""
        self._placed.clear()
        self._masks.clear()
