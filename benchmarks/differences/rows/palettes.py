"""The colours of ADE20K's classes: the "pictures" are the classes' numbers."""

from __future__ import annotations

import numpy as np

from benchmarks.differences.levels import Levels, Run
from benchmarks.differences.peers import aux, folder_of
from benchmarks.differences.row import Row
from benchmarks.importing import importing, single_file
from zeroctl_core.annotators.colors.palette import palette_colors

UNIFORMER = "annotator/uniformer/mmseg/core/evaluation/class_names.py"
ONEFORMER = "annotator/oneformer/oneformer/data/datasets/register_ade20k_panoptic.py"


def our_colors(ids: Levels) -> Levels:
    return np.asarray(palette_colors("ade20k")[ids])


def uniformer(peer: str) -> Run:
    def run(ids: Levels) -> Levels:
        stubs = ("annotator", "annotator.uniformer", "annotator.uniformer.mmcv")
        with importing(folder_of(peer), "annotator", stubs):
            return np.asarray(single_file(folder_of(peer) / UNIFORMER, f"{peer}_class_names").ade_palette())[ids]

    return run


def oneformer(ids: Levels) -> Levels:
    parts = ("", ".oneformer", ".oneformer.detectron2", ".oneformer.detectron2.data", ".oneformer.detectron2.utils")
    stubs = [f"annotator{part}" for part in (*parts, ".oneformer.detectron2.utils.file_io")]
    with importing(folder_of("cn11"), "annotator", stubs):
        return np.asarray(single_file(folder_of("cn11") / ONEFORMER, "cn11_ade20k").ADE20k_COLORS)[ids]


def aux_uniformer(ids: Levels) -> Levels:
    return np.asarray(aux("util").ade_palette())[ids]


def aux_oneformer(ids: Levels) -> Levels:
    kind = aux("oneformer.transformers").OneformerSegmentor
    return np.asarray(kind.__new__(kind)._generate_professional_colormap(ids.astype(np.uint8)))


def rows() -> list[Row]:
    classes = {"the classes 0..149": np.arange(150)[:, None]}
    hues = (
        "ours: the ControlNets 1.0 and 1.1 were trained on ADE20K's own colours (annotator/uniformer; cn11's OneFormer "
        "has the same); aux makes hues of its own, and class 0, wall, black"
    )
    return [
        Row(
            title="ADE20K palette, Uniformer",
            ours=our_colors,
            peer="cn10",
            file=UNIFORMER,
            theirs=uniformer("cn10"),
            pictures=classes,
        ),
        Row(
            title="ADE20K palette, Uniformer",
            ours=our_colors,
            peer="cn11",
            file=UNIFORMER,
            theirs=uniformer("cn11"),
            pictures=classes,
        ),
        Row(
            title="ADE20K palette, OneFormer",
            ours=our_colors,
            peer="cn11",
            file=ONEFORMER,
            theirs=oneformer,
            pictures=classes,
        ),
        Row(
            title="ADE20K palette, Uniformer",
            ours=our_colors,
            peer="aux",
            file="util.py",
            theirs=aux_uniformer,
            pictures=classes,
        ),
        Row(
            title="ADE20K palette, OneFormer",
            ours=our_colors,
            peer="aux",
            file="oneformer",
            theirs=aux_oneformer,
            pictures=classes,
            why=hues,
        ),
    ]
