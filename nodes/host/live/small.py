"""Small copies of pictures: of files in the host's folders, and of what a node was last given."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import folder_paths
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from zeroctl_core.files.key_faults import short

from ..on_canvas import canvas_node

__all__ = ["NoPicture", "Small", "keep_last", "last_of", "small_file"]

SIDE = 512
"""Of a copy in pixels, the longer one."""
MOST_COPIES = 32
"""Of files, and as many of nodes: 0.8 MB each."""
MOST_PIXELS = 50_000_000
"""Of a file that is decoded for a copy: 150 MB while it is."""
LONGEST_NAME = 1000


class NoPicture(ValueError):
    """There is no picture to show a condition of; the text says what to do."""


@dataclass(frozen=True)
class Small:
    """A copy of a picture: uint8 [h, w, C], the longer side `SIDE` at most. height, width: of the picture itself."""

    pixels: Tensor
    height: int
    width: int


class _Copies:
    """The last copies that were used, by any key."""

    def __init__(self) -> None:
        self._copies: OrderedDict[Any, Small] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Any) -> Small | None:
        with self._lock:
            if key in self._copies:
                self._copies.move_to_end(key)
            return self._copies.get(key)

    def put(self, key: Any, copy: Small) -> None:
        with self._lock:
            self._copies[key] = copy
            self._copies.move_to_end(key)
            while len(self._copies) > MOST_COPIES:
                self._copies.popitem(last=False)


_files, _nodes = _Copies(), _Copies()


def keep_last(image: Any) -> None:
    """Keep a copy of the first picture of an IMAGE [B, H, W, C] that the node of the canvas has been given, if it is
    one."""
    here = canvas_node()
    if here is None or here.inner != here.id or not isinstance(image, Tensor) or image.ndim != 4 or not image.numel():
        return
    picture = image[:1].movedim(-1, 1).float()
    height, width = picture.shape[2:]
    size = _size(height, width)
    if size != (height, width):
        picture = F.interpolate(picture, size, mode="area")
    pixels = picture[0].movedim(0, -1).nan_to_num().clamp(0, 1).mul(255).round().to("cpu", torch.uint8)
    _nodes.put(here.id, Small(pixels.contiguous(), height, width))


def last_of(node_id: str) -> Small:
    """What a node of the canvas was given last.

    Raises `NoPicture` for a node that was not run, or whose copy is no longer kept.
    """
    copy = _nodes.get(node_id)
    if copy is None:
        raise NoPicture("Run the graph once: the picture of this input is known only then.")
    return copy


def small_file(name: str) -> Small:
    """A file as Load Image names it: `photo.png`, `folder/photo.png [output]`.

    Raises `NoPicture` for a name that is not of a picture below that folder, and for a picture that is too large.
    """
    path = _path(name)
    try:
        stat = path.stat()
        key = (str(path), stat.st_mtime_ns, stat.st_size)
        copy = _files.get(key)
        if copy is None:
            copy = _read(path)
            _files.put(key, copy)
    except OSError:
        raise NoPicture(f"{short(name)!r} cannot be read as a picture. Choose another in Load Image.") from None
    return copy


def _path(name: str) -> Path:
    folder, base = folder_paths.get_input_directory(), name
    for kind, directory in (
        ("input", folder_paths.get_input_directory),
        ("output", folder_paths.get_output_directory),
        ("temp", folder_paths.get_temp_directory),
    ):
        if name.endswith(f" [{kind}]"):
            folder, base = directory(), name.removesuffix(f" [{kind}]")
    fault = NoPicture(f"There is no picture {short(name)!r} in ComfyUI's folder. Choose another in Load Image.")
    if not base or len(base) > LONGEST_NAME or "\0" in base:
        raise fault
    root = os.path.realpath(folder)
    try:
        path = os.path.realpath(os.path.join(root, base))  # links are followed: none may lead out
        if os.path.commonpath([root, path]) != root or not os.path.isfile(path):
            raise fault
    except (ValueError, OSError):  # another drive, a name that the system refuses
        raise fault from None
    return Path(path)


def _read(path: Path) -> Small:
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as file:
            width, height = file.size
            if width * height > MOST_PIXELS:
                raise Image.DecompressionBombError
            file.draft("RGB", (2 * SIDE, 2 * SIDE))  # a JPEG is decoded at a half, a quarter or an eighth
            turned = ImageOps.exif_transpose(file)
            if turned.width != file.width:
                width, height = height, width
            if turned.mode.startswith("I"):  # 16 bits of grey, which convert would cut off
                turned = Image.fromarray((np.asarray(turned) / 257).clip(0, 255).astype(np.uint8))
            picture = turned.convert("RGB")
    except Image.DecompressionBombError:
        raise NoPicture("The picture is too large for a preview; a run shows its condition.") from None
    except (ValueError, SyntaxError, EOFError) as error:  # what decoders raise for damaged files
        raise OSError(str(error)) from error
    size = _size(height, width)
    picture = picture.resize((size[1], size[0]), Image.Resampling.BOX, reducing_gap=3.0)
    return Small(torch.from_numpy(np.array(picture)), height, width)


def _size(height: int, width: int) -> tuple[int, int]:
    """(height, width) with the longer side at `SIDE` or below."""
    scale = min(1.0, SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))
