"""The detectors of comfyui_controlnet_aux and of controlnet-aux."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.differences.levels import Levels, Run, short_side
from benchmarks.differences.peers import aux, hf

LazyNet = Callable[[], torch.nn.Module]
"""Networks are built when a row is run, so that one that cannot be imported says so in its own row."""


def aux_detector(module: str, name: str, *nets: LazyNet, **arguments: Any) -> Run:
    """A detector of comfyui_controlnet_aux, at the picture's own size."""

    def run(picture: Levels) -> Levels:
        detector = getattr(aux(module), name)(*(build() for build in nets))
        return np.asarray(detector(picture, detect_resolution=short_side(picture), output_type="np", **arguments))

    return run


def hf_detector(module: str, name: str, *nets: LazyNet, **arguments: Any) -> Run:
    """A detector of controlnet-aux, at the picture's own size."""

    def run(picture: Levels) -> Levels:
        detector = getattr(hf(module), name)(*(build() for build in nets))
        sizes = {"detect_resolution": short_side(picture)}
        if "image_resolution" in inspect.signature(type(detector).__call__).parameters:
            sizes["image_resolution"] = short_side(picture)
        return np.asarray(detector(picture, output_type="np", **sizes, **arguments))

    return run
