"""A picture, what a control is to follow in it, and its caption, before anything is encoded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ...files.picture_file import read_picture_file
from ...files.sha256 import file_sha256
from .keys import key_of


class Picture(Protocol):
    """Pixels with a key: read when they are needed, and not when the key says that they were encoded."""

    @property
    def key(self) -> str:
        """The same digits, the same pixels."""
        ...

    def read(self) -> Tensor:
        """[3, H, W] in 0..1. Raises `ValueError` for a file that is not a picture."""
        ...


@dataclass(frozen=True)
class FilePicture:
    """A picture file, upright, on `background` where it is transparent."""

    path: Path
    background: str = "white"

    @cached_property
    def key(self) -> str:
        return key_of("file", file_sha256(self.path), self.background)

    def read(self) -> Tensor:
        picture, _ = read_picture_file(self.path, self.background)
        return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255).movedim(-1, 0).contiguous()


@dataclass(frozen=True, eq=False)
class TensorPicture:
    """Pixels in memory, [3, H, W] in 0..1."""

    pixels: Tensor

    @cached_property
    def key(self) -> str:
        values = self.pixels.detach().cpu().float().contiguous()
        return key_of("tensor", list(values.shape), hashlib.sha256(values.numpy().tobytes()).hexdigest())

    def read(self) -> Tensor:
        return self.pixels.float()


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One pair with its caption; `condition` is None where an annotator draws it."""

    name: str
    picture: Picture
    condition: Picture | None = None
    caption: str = ""
