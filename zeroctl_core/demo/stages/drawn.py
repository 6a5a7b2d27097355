"""Scenes of the things for the stages, drawn with the package in the folder of the build."""

from __future__ import annotations

from pathlib import Path

from ..pictures import emoji_path, read_cutouts
from ..rendering import Rendering, render
from ..scene import Scene, Split, scenes


def drawn(work: Path, world: list[Scene]) -> Rendering:
    """Raises what `emoji_path` and `read_files` raise."""
    return render(world, read_cutouts(emoji_path(work)))


def drawn_scenes(work: Path, seed: int, start: int, count: int, split: Split = "train") -> Rendering:
    return drawn(work, scenes(seed, start, count, split))
