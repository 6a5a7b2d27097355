"""How a transformers model wants its pictures: by its preprocessor_config.json, or else by its family."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...files.weight_file import CheckpointError

PREPROCESSOR_FILE = "preprocessor_config.json"
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5,) * 3, (0.5,) * 3)
AS_IT_IS = ((0.0,) * 3, (1.0,) * 3)
FAMILIES = {"dpt": HALF, "zoedepth": HALF, "rt_detr": AS_IT_IS, "rt_detr_v2": AS_IT_IS}
"""Mean and standard deviation of those families that were not trained with ImageNet's."""


@dataclass(frozen=True)
class Preprocessing:
    """A model sees (image - mean) / std, the image in 0..1, RGB. `size` is (height, width) in pixels where it is known.

    A folder that names only a short side has it for both.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: tuple[int, int] | None = None


def preprocessing_of(folder: Path, model_type: str, backbone_type: str = "") -> Preprocessing:
    """Mean, standard deviation and size by a folder's preprocessor_config.json, of which nothing else is read.

    Without the file, mean and standard deviation are those of the family, or of its backbone where that is DINOv2, and
    the size is not known. Raises `CheckpointError` for a file that is not JSON and for numbers that make no sense.
    """
    mean: tuple[float, ...]
    std: tuple[float, ...]
    mean, std = IMAGENET if backbone_type.startswith("dinov2") else FAMILIES.get(model_type, IMAGENET)
    path = folder / PREPROCESSOR_FILE
    if not path.exists():
        return Preprocessing(mean, std)
    try:
        config: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not config.get("do_normalize", True):
            mean, std = AS_IT_IS
        elif "image_mean" in config and "image_std" in config:
            # some files, such as those of DPT on DINOv2, count in 0..255
            scale = 255 * config.get("rescale_factor", 1 / 255) if config.get("do_rescale", True) else 255
            mean = tuple(float(value) / scale for value in config["image_mean"])
            std = tuple(float(value) / scale for value in config["image_std"])
        size = _size(config.get("size"))
    except (ValueError, TypeError, AttributeError, ArithmeticError, RecursionError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); download it again, or remove it") from error
    if len(mean) != 3 or len(std) != 3 or not all(value > 0 for value in std):
        raise CheckpointError(
            f"{path} has the mean {mean} and the standard deviation {std}; expected three numbers each"
        )
    return Preprocessing(mean, std, size)


def _size(value: object) -> tuple[int, int] | None:
    """512, [512, 384], {"shortest_edge": 512, ...} or {"height": 512, "width": 384} -> (height, width)."""
    if isinstance(value, Mapping):
        if "shortest_edge" in value:
            value = value["shortest_edge"]
        elif "height" in value and "width" in value:
            value = (value["height"], value["width"])
    if isinstance(value, int):
        return (value, value)
    if isinstance(value, (list, tuple)) and len(value) == 2:
        return (int(value[0]), int(value[1]))
    return None
