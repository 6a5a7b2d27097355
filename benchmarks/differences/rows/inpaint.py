"""Inpaint: photographs with a hole."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import torch

from benchmarks.differences.levels import Levels, Run, levels, tensor
from benchmarks.differences.peers import folder_of
from benchmarks.differences.pictures import photos
from benchmarks.differences.releases import demo
from benchmarks.differences.row import Row
from benchmarks.importing import empty_package, importing
from zeroctl_core.annotators import ANNOTATORS


def hole(picture: Levels) -> Levels:
    """A round, a ramp and a speck, in 0..255."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[:height, :width]
    mask = np.where((x - width / 2) ** 2 + (y - height / 2) ** 2 < (height / 4) ** 2, 255, 0).astype(np.uint8)
    mask[: height // 8] = np.linspace(0, 255, width).astype(np.uint8)
    mask[-12:-8, 10:14] = 255
    return mask


def our_inpaint(**settings: Any) -> Run:
    def run(picture: Levels) -> Levels:
        mask = torch.from_numpy(hole(picture)).float()[None, None] / 255
        return levels(ANNOTATORS["inpaint"](tensor(picture), mask=mask, **settings))

    return run


def cn11_inpaint(picture: Levels) -> Levels:
    drawing = {"image": picture, "mask": np.repeat(hole(picture)[..., None], 3, axis=2)}
    return demo("cn11", "gradio_inpaint", input_image_and_mask=drawing, mask_blur=5.0)(picture)


def aux_inpaint(black: bool) -> Run:
    def run(picture: Levels) -> Levels:
        with importing(folder_of("aux"), "aux_pack", ("aux_pack.utils",)):
            empty_package("aux_pack", folder_of("aux"))
            node = importlib.import_module("aux_pack.node_wrappers.inpaint").InpaintPreprocessor()
        mask = torch.from_numpy(hole(picture)).float()[None] / 255
        image = node.preprocess(tensor(picture).movedim(1, -1), mask, black)[0]
        return np.asarray(image[0].double().numpy() * 255)

    return run


def rows() -> list[Row]:
    blurred, plain, black = {"fill": "minus_one", "mask_blur": 5.0}, {"fill": "minus_one"}, {"fill": "black"}
    wrapper = "node_wrappers/inpaint.py"
    return [
        Row(
            title="inpaint",
            ours=our_inpaint(**blurred),
            peer="cn11",
            file="gradio_inpaint.py",
            theirs=cn11_inpaint,
            pictures=photos(),
            settings=blurred,
        ),
        Row(
            title="inpaint",
            ours=our_inpaint(**plain),
            peer="aux",
            file=wrapper,
            theirs=aux_inpaint(False),
            pictures=photos(),
            settings=plain,
        ),
        Row(
            title="inpaint, black",
            ours=our_inpaint(**black),
            peer="aux",
            file=wrapper,
            theirs=aux_inpaint(True),
            pictures=photos(),
            settings=black,
        ),
    ]
