"""The two releases of ControlNet: modules of their annotators, and their demos up to the sampler."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

from benchmarks.differences.levels import Levels, Run, levels, short_side
from benchmarks.differences.peers import folder_of
from benchmarks.importing import importing, single_file

DEMO_STUBS = (
    "share",
    "config",
    "gradio",
    "pytorch_lightning",
    "cldm",
    "cldm.model",
    "cldm.ddim_hacked",
    "cldm.hack",
    "annotator.pidinet",
    "annotator.midas.api",
)
"""What the released demos import and a map does not need: the user interface, the diffusion model, other networks."""


@cache
def released(peer: str, module: str) -> ModuleType:
    """A module of a release's package `annotator`."""
    with importing(folder_of(peer), "annotator", DEMO_STUBS):
        return importlib.import_module(f"annotator.{module}")


class Reached(Exception):
    """The demo has come to its sampler."""


def control_of(peer: str, demo: str, prepare: Callable[[ModuleType], None] | None = None, **arguments: Any) -> Levels:
    """What a released demo gives its ControlNet, in levels: [H, W, 3]. `prepare` gets the demo's module."""
    folder = folder_of(peer)
    with importing(folder, "annotator", DEMO_STUBS):
        sampler, model = MagicMock(), MagicMock(device="cpu")
        model.cpu.return_value = model.cuda.return_value = model
        sampler.sample.side_effect = sampler.decode.side_effect = Reached
        sys.modules["cldm.ddim_hacked"].DDIMSampler.return_value = sampler
        sys.modules["cldm.model"].create_model.return_value = model
        module = single_file(folder / f"{demo}.py", f"annotator.{demo}")
        if prepare is not None:
            prepare(module)
        usual = {"prompt": "", "a_prompt": "", "n_prompt": "", "num_samples": 1, "ddim_steps": 20, "guess_mode": False}
        usual |= {"strength": 1.0, "scale": 9.0, "seed": 1, "eta": 1.0, "is_safe": False, "denoise_strength": 1.0}
        names = inspect.signature(module.process).parameters
        try:
            module.process(**{name: value for name, value in {**usual, **arguments}.items() if name in names})
        except Reached:
            call = sampler.sample.call_args or sampler.decode.call_args
            cond = next(argument for argument in call.args if isinstance(argument, dict))
            return levels(cond["c_concat"][0])
    raise RuntimeError(f"{demo}.py did not come to its sampler")


def demo(peer: str, name: str, prepare: Callable[[ModuleType], None] | None = None, **arguments: Any) -> Run:
    """A released demo, at the picture's own size."""

    def run(picture: Levels) -> Levels:
        sizes = {"image_resolution": short_side(picture), "detect_resolution": short_side(picture)}
        return control_of(peer, name, prepare, **{"input_image": picture, **sizes, **arguments})

    return run
