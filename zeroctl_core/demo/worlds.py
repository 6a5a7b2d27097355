"""The worlds that the embedded model can be built for: their stages, and where each build has its files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .model import WEIGHTS
from .stages import STAGES
from .stages.stage import Stage
from .things.model import WEIGHTS as THINGS_WEIGHTS
from .things.model import WORK as THINGS_WORK
from .things.pictures import SHA256, get_package
from .things.stages import STAGES as THINGS_STAGES

WorldName = Literal["shapes", "things"]

Inputs = Mapping[str, str]
"""What a build takes from elsewhere: name -> SHA-256."""


@dataclass(frozen=True, kw_only=True)
class BuiltWorld:
    """A world as something to build; the folders and the log are those that are used where none are named."""

    stages: Mapping[str, Stage[Any]]
    weights: Path
    work: Path
    log: Path
    get_inputs: Callable[[Path], Inputs] = lambda work: {}
    """Brings what the stages need into the folder of work."""


def _get_pictures(work: Path) -> Inputs:
    get_package(work)
    return {"pictures of the things": SHA256}


WORLDS: dict[WorldName, BuiltWorld] = {
    "shapes": BuiltWorld(
        stages=STAGES,
        weights=WEIGHTS,
        work=Path("build/demo"),
        log=Path("benchmarks/results/demo-build.json"),
    ),
    "things": BuiltWorld(
        stages=THINGS_STAGES,
        weights=THINGS_WEIGHTS,
        work=THINGS_WORK,
        log=THINGS_WORK / "log.json",
        get_inputs=_get_pictures,
    ),
}
