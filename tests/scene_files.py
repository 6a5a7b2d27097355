"""Scenes of shapes of the embedded world as a user has pictures: PNG files, with captions in `.txt` beside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from zeroctl_core.demo.captions import caption
from zeroctl_core.demo.rendering import render
from zeroctl_core.demo.scene import scenes

AT_ONCE = 50  # a rendering holds a dozen maps a scene


def write_scenes(folder: Path, count: int, seed: int = 3) -> None:
    """`0000.png` and `0000.txt`, and so on, of the training split."""
    for start in range(0, count, AT_ONCE):
        world = scenes(seed, start, min(AT_ONCE, count - start), shapes_only=True)
        for number, (one, image) in enumerate(zip(world, render(world).image, strict=True), start):
            pixels = (image.movedim(0, -1) * 255).round().to(torch.uint8).numpy()
            Image.fromarray(np.ascontiguousarray(pixels)).save(folder / f"{number:04}.png")
            (folder / f"{number:04}.txt").write_text(caption(one))
