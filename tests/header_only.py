"""Files of weights that are all header: what has to be told without the weights can be tried at full size."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path

from random_weights import controlnet_shapes, spec_of, unet_shapes

Shapes = Mapping[str, tuple[int, ...]]
N_TYPES = 8
UNION_KEYS = {"task_embedding": (N_TYPES, 320), "control_add_embedding.linear_1.weight": (1280, N_TYPES * 256)}
"""Of a union ControlNet, those that tell it from a plain one."""


def write_header_only(path: Path, shapes: Shapes, metadata: Mapping[str, str] | None = None) -> Path:
    """A safetensors file of fp16 weights whose bytes were never written: the file system keeps none of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for key, shape in shapes.items():
        begin, end = end, end + 2 * math.prod(shape)
        header[key] = {"dtype": "F16", "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.seek(end - 1, 1)
        file.write(b"\1")  # zeros up to the end are a download that stopped
    return path


def write_control(path: Path, preset: str, metadata: Mapping[str, str] | None = None, union: bool = False) -> Path:
    return write_header_only(path, controlnet_shapes(spec_of(preset)) | (UNION_KEYS if union else {}), metadata)


def write_checkpoint(path: Path, preset: str) -> Path:
    """The UNet of a whole checkpoint."""
    shapes = unet_shapes(spec_of(preset))
    return write_header_only(path, {f"model.diffusion_model.{key}": shape for key, shape in shapes.items()})
