"""Normals from depth: a depth of ours stands in for MiDaS's."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import torch

from benchmarks.differences.levels import Levels, Run, levels
from benchmarks.differences.pictures import depths
from benchmarks.differences.releases import demo
from benchmarks.differences.row import Row
from zeroctl_core.annotators import ANNOTATORS


def our_normal(strength: float) -> Run:
    def run(depth: Levels) -> Levels:
        image = torch.from_numpy(depth / np.float32(255))[None, None].repeat(1, 3, 1, 1)
        return levels(ANNOTATORS["normal"](image, order="midas_cn10", strength=strength))

    return run


def cn10_normal(depth: Levels) -> Levels:
    def prepare(module: ModuleType) -> None:
        module.apply_midas.model = lambda image: torch.from_numpy(depth.copy())[None]

    picture = np.zeros((*depth.shape, 3), np.uint8)
    return demo("cn10", "gradio_normal2image", prepare, bg_threshold=0.4)(picture)


def rows() -> list[Row]:
    return [
        Row(
            title="normal from depth",
            ours=our_normal(strength),
            peer="cn10",
            file="gradio_normal2image.py with a depth in place of MiDaS's",
            theirs=cn10_normal,
            pictures=depths(),
            settings={"strength": strength, "background": 0.4, "order": "midas_cn10", "scale": 255},
            why=why,
        )
        for strength, why in (
            (6.283, "cn10: its annotator/midas has 2 pi, of which our default keeps three decimals: one level"),
            (2 * np.pi, "both: the depth divided by 255 and multiplied again rounds to the other side of a cut"),
        )
    ]
