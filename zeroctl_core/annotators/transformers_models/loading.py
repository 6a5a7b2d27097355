"""Load a transformers model from a folder: by a list of classes, without network, without anybody's code.

transformers opens nothing of the folder: it gets a configuration that `safe_config` builds and weights that `weights`
reads, and chooses the attention of each part itself, torch's own where a class supports it, else the plain one.
"""

from __future__ import annotations

import importlib
import json
import logging
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...files.weight_file import CheckpointError
from .built_size import check_size
from .preprocessing import Preprocessing, preprocessing_of
from .safe_config import backbone_of, build_config, refusal
from .weights import content, read_weights, weight_files

log = logging.getLogger("zeroctl")

TASKS: dict[str, dict[str, str]] = {
    "depth": {
        "depth_anything": "DepthAnythingForDepthEstimation",
        "dpt": "DPTForDepthEstimation",
        "zoedepth": "ZoeDepthForDepthEstimation",
    },
    "segmentation": {
        "upernet": "UperNetForSemanticSegmentation",
        "segformer": "SegformerForSemanticSegmentation",
        "mask2former": "Mask2FormerForUniversalSegmentation",
        "oneformer": "OneFormerForUniversalSegmentation",
    },
    "pose": {"vitpose": "VitPoseForPoseEstimation"},
    "people": {"rt_detr": "RTDetrForObjectDetection", "rt_detr_v2": "RTDetrV2ForObjectDetection"},
}
"""Task of a model -> `model_type` of its config.json -> its class. No other class is ever built."""

CONFIG_FILE = "config.json"
LARGEST_CONFIG = 4 * 2**20
"""Bytes; published ones have some ten thousand."""
LONGEST_REASON = 300
OLDEST = "4.50"
"""The version of transformers from which on it has all of these classes."""

NOT_NEEDED = (
    "neck.fusion_stage.layers.0.residual_layer1.",  # DPT: the first fusion has nothing to add; Intel's files lack it
    ".swin.layernorm.",  # the last norm, new in transformers 5; features do not pass it
    "criterion.",  # for training only
    "num_batches_tracked",  # a counter
    # tables that the class computes; other versions write them, or do not
    "relative_position_index",
    "relative_coords_table",
    "position_ids",
)
"""Parts of keys that a file may lack although the class has them: computed by it, or nothing depends on them."""


class TransformersModel(nn.Module):
    """A model and what is known of its folder.

    A plain module around it, because the `device` of transformers' own class cannot be set, which hosts do.
    """

    def __init__(self, model: nn.Module, model_type: str, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.model = model
        self.model_type = model_type
        self.preprocessing = preprocessing

    @property
    def config(self) -> Any:
        """The configuration, of the class that transformers has for it."""
        return self.model.config

    def pixel_values(self, image: Tensor) -> Tensor:
        """[B, 3, h, w] in 0..1 -> (image - mean) / std, in the dtype and on the device of the weights."""
        weight = next(self.model.parameters())
        mean, std = (
            torch.tensor(values, device=image.device)[:, None, None]
            for values in (self.preprocessing.mean, self.preprocessing.std)
        )
        return ((image.float() - mean) / std).to(device=weight.device, dtype=weight.dtype)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the model returns. Raises `ValueError` where the device lacks one of its operators."""
        try:
            return self.model(*args, **kwargs)
        except NotImplementedError as error:
            device = next(self.model.parameters()).device
            raise ValueError(
                f"this {self.model_type} needs an operator that torch {torch.__version__} does not have on {device} "
                f"({str(error).strip().splitlines()[0][:LONGEST_REASON]}). On a Mac update torch to 2.6 or newer, or "
                "run ComfyUI with --cpu"
            ) from error


def check_transformers(task: str) -> None:
    """Raises `ImportError` with its first cause where transformers cannot be imported for a task of `TASKS`."""
    _import_class(next(iter(TASKS[task].values())))


def folder_tasks(path: str | Path) -> set[str]:
    """What the model of a folder can do, by its config.json alone; nothing for any other folder.

    A config.json that cannot be read is logged, and never an error: others are listed beside it.
    """
    folder = Path(path)
    try:
        if not (folder / CONFIG_FILE).is_file():
            return set()
        config = _json(folder / CONFIG_FILE)
        return set() if _model_type(config) is None else {task for task in TASKS if _wrong_for(config, task) is None}
    except CheckpointError as error:
        log.warning("[zeroctl] passed over: %s", error)
    except Exception as error:  # nothing that somebody puts into a file may take the others off the list
        log.warning("[zeroctl] passed over: %s (%s)", folder, type(error).__name__)
    return set()


def load_model(path: str | Path, task: str) -> TransformersModel:
    """Load a folder for one task of `TASKS`: float32, on the CPU, in eval mode, without gradients.

    Raises `CheckpointError` for a folder without a model, with one for another task, without weights or with broken
    ones, `ImportError` with its first cause where transformers cannot be imported, and `KeyError` for an unknown task.
    """
    folder = Path(path)
    config = _config(folder)
    if wrong := _wrong_for(config, task):
        raise CheckpointError(f"{folder} {wrong}")
    model_type = str(config["model_type"])
    files = weight_files(folder)
    name = TASKS[task][model_type]
    kind = _import_class(name)
    try:
        preprocessing = preprocessing_of(folder, model_type, str(backbone_of(config).get("model_type", "")))
        weights = read_weights(files)
        side = max((length for tensor in weights.values() for length in tensor.shape), default=0)
        safe_config = build_config(config, layers=len(weights), side=side)
        check_size(kind, safe_config, weights, NOT_NEEDED)
    except CheckpointError as error:
        raise error if str(folder) in str(error) else CheckpointError(f"{folder} {error}") from error
    except ImportError as error:
        raise _cannot_import(name, error) from error
    except Exception as error:
        raise _cannot_load(folder, name, error) from error
    try:
        model, report = kind.from_pretrained(
            None, config=safe_config, state_dict=weights, torch_dtype=torch.float32, output_loading_info=True
        )
    except ImportError as error:
        raise _cannot_import(name, error) from error
    except Exception as error:
        raise _cannot_load(folder, name, error) from error
    missing = sorted(key for key in report["missing_keys"] if not any(part in key for part in NOT_NEEDED))
    if missing:
        raise CheckpointError(
            f"{folder} lacks {len(missing)} weights of {name}, first {missing[0]}; they would be random. "
            "Download the folder again; if it is complete, it belongs to another version of transformers"
        )
    return TransformersModel(model.float(), model_type, preprocessing).eval().requires_grad_(False)


def model_for(owner: str, net: nn.Module, task: str) -> TransformersModel:
    """The net as a model for this task. Raises `ValueError` for any other."""
    if not isinstance(net, TransformersModel) or net.model_type not in TASKS[task]:
        what = net.model_type if isinstance(net, TransformersModel) else type(net).__name__
        raise ValueError(f"{owner}: the net is a {what}; expected load_model(folder, {task!r})")
    return net


def _config(folder: Path) -> Mapping[str, Any]:
    """A folder's config.json, which says at least its model_type."""
    if not folder.is_dir():
        state = "is a file" if folder.exists() else "does not exist"
        raise CheckpointError(f"{folder} {state}; expected a folder with {CONFIG_FILE} and model.safetensors")
    file = folder / CONFIG_FILE
    if not file.is_file():
        raise CheckpointError(f"{folder} does not hold a model: it has no {CONFIG_FILE}, but {content(folder)}")
    config = _json(file)
    if _model_type(config) is None:
        raise CheckpointError(f"{file} names no model_type, so it is not of a transformers model")
    return config


def _json(file: Path) -> Any:
    """What a config.json holds. Raises `CheckpointError` where it is not JSON or cannot be read."""
    try:
        size = file.stat().st_size
        text = file.read_text(encoding="utf-8") if size <= LARGEST_CONFIG else ""
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read ({error.strerror}); look at its rights") from error
    except ValueError as error:
        raise CheckpointError(f"{file} is not text ({error}); download it again") from error
    if size > LARGEST_CONFIG:
        raise CheckpointError(f"{file} has {size} bytes, too many for a configuration; download it again")
    try:
        return json.loads(text)
    except RecursionError as error:
        raise CheckpointError(f"{file} is nested too deep for a configuration; download it again") from error
    except ValueError as error:
        raise CheckpointError(f"{file} is not JSON text ({error}); download it again") from error


def _model_type(config: Any) -> str | None:
    """The family of a transformers model; None for whatever else a config.json may be of."""
    model_type = config.get("model_type") if isinstance(config, dict) else None
    return model_type if isinstance(model_type, str) else None


def _wrong_for(config: Mapping[str, Any], task: str) -> str | None:
    """Why a model cannot do the task, for people; None where it can."""
    names, model_type = TASKS[task], config["model_type"]
    if model_type not in names:
        return f"is of the model_type {model_type!r}; for {task} it must be one of {', '.join(names)}"
    architectures = config.get("architectures") or [names[model_type]]
    if not isinstance(architectures, list):
        return f"names no list of architectures in its config.json, but {architectures!r}"
    if names[model_type] not in architectures:
        return f"holds a {architectures[0]}; for {task} it must be a {names[model_type]}"
    return refusal(config)


def _cannot_load(folder: Path, name: str, error: Exception) -> CheckpointError:
    reason = str(error).strip().split("\n")[0] or type(error).__name__
    return CheckpointError(f"{folder} cannot be loaded as {name}: {reason[:LONGEST_REASON]}")


def _import_class(name: str) -> Any:
    """A class of transformers. Whatever can fail inside, which is much, becomes an `ImportError` with its cause."""
    try:
        return getattr(importlib.import_module("transformers"), name)
    except Exception as error:
        raise _cannot_import(name, error) from error


def _cannot_import(name: str, error: Exception) -> ImportError:
    """The error to raise: the innermost cause, which transformers hides behind its own words, and the remedy."""
    if isinstance(error, ModuleNotFoundError) and error.name == "transformers":
        return ImportError(f"{name} needs transformers, which is not installed: pip install 'transformers>={OLDEST}'")
    if isinstance(error, AttributeError):
        return ImportError(
            f"the transformers that is installed has no {name}: pip install --upgrade 'transformers>={OLDEST}'"
        )
    chain: list[BaseException] = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) and inner not in chain:
        chain.append(inner)
    cause = chain[-1]
    reason = str(cause).strip().split("\n")[0]
    files = " ".join(frame.filename for frame in traceback.extract_tb(cause.__traceback__))
    trace = " ".join((files, *map(str, chain))).lower()
    remedy = "repair or uninstall that package"
    if isinstance(cause, ModuleNotFoundError) and cause.name:
        remedy = f"install what is missing: pip install {cause.name.split('.')[0]}"
    for package in ("torchaudio", "torchvision"):
        if package in trace:
            remedy = (
                f"{package} does not fit torch {torch.__version__}: install the two of one release and one CUDA "
                f"version (pytorch.org/get-started), or, if nothing else needs it, pip uninstall {package}"
            )
            break
    return ImportError(f"transformers cannot import {name}: {type(cause).__name__}: {reason}. {remedy}")
