"""The configuration of a transformers model, built anew from a folder's config.json by an allow-list.

transformers reads far more from a config.json than the form of the network: which kernels compute the attention, from
which repository a backbone comes, which code belongs to the class, at every depth. What the file holds is therefore
never handed on: the keys of `known_configs` are, with numbers, known words and lists of them, and nothing else is.
"""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Mapping
from typing import Any

from ...files.weight_file import CheckpointError
from .known_configs import BACKBONES, LAYERS, MODELS, NOT_SIZES, NOT_TAKEN, WORDS

FROM_ELSEWHERE = ("backbone", "backbone_kwargs", "use_pretrained_backbone", "use_timm_backbone")
"""Keys that let the weights or the form of a backbone come from outside of the folder, where they have a value."""
WITHOUT_EFFECT = ("backbone_config", "model_type", "disable_custom_kernels", *FROM_ELSEWHERE)
"""Keys that are read apart, and one that chooses between two ways to the same numbers."""
QUANTISED = ("quantization_config", "compression_config")
STAGE = re.compile(r"stage\d{1,2}")
LONGEST_NAME = 200
SIZE, REPEATS = 8192, 100
"""So large may every size and every number of layers be; larger ones must have their like in the weights."""
LARGEST = 2**20
BIN_KEYS = {"n_bins", "min_depth", "max_depth", "name"}
LONGEST_TEXT = 60


def build_config(config: Mapping[str, Any], *, layers: int, side: int) -> Any:
    """A configuration of the installed transformers with what is known of a config.json, its backbone's included.

    `layers` is how many tensors the weights are, `side` their largest side: no number may ask for more. Keys that are
    not known are left out, unless the installed class knows them and they would change what is computed.

    Raises `CheckpointError` for a model or a backbone that is not known, for one that would come from elsewhere, for
    quantised weights, and for values that are neither numbers nor known words. Raises `AttributeError` where the
    installed transformers lacks a class.
    """
    return _build("", config, MODELS, max(layers, REPEATS), max(side, SIZE))


def backbone_of(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The configuration of the backbone, empty where there is none. Raises `CheckpointError` for another value."""
    backbone = config.get("backbone_config")
    if backbone is not None and not isinstance(backbone, Mapping):
        raise CheckpointError(f"names a backbone_config of {_text(backbone)}; expected the configuration of a backbone")
    return backbone or {}


def refusal(config: Mapping[str, Any]) -> str | None:
    """Why the weights of a config.json are not all in its folder; None where they are, at every depth."""
    pending: list[Any] = [config]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            for key in FROM_ELSEWHERE:
                if value.get(key):
                    return (
                        f"has only a part of its weights, the rest would be downloaded ({key} in config.json is "
                        f"{_text(value[key])})"
                    )
            for key in QUANTISED:
                if value.get(key):
                    return f"holds quantised weights ({key} in config.json); take the folder of the original"
            pending.extend(part for key, part in value.items() if key not in ("id2label", "label2id"))
        elif isinstance(value, list):
            pending.extend(value)
    return None


def _build(where: str, config: Mapping[str, Any], table: Mapping[str, tuple[str, str]], layers: int, side: int) -> Any:
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in table:
        why = f" ({NOT_TAKEN[model_type]})" if isinstance(model_type, str) and model_type in NOT_TAKEN else ""
        raise CheckpointError(
            f"is on the {where or 'model'} {_text(model_type)}, which zeroctl does not load{why}; take a folder on one "
            f"of {', '.join(table)}"
        )
    name, form = table[model_type]
    kind = getattr(importlib.import_module("transformers"), name)
    keys = {*form.split(), "num_labels", "id2label", "label2id"}
    values = {key: _plain(key, value, layers, side) for key, value in config.items() if key in keys}
    if "id2label" in values:
        values.pop("num_labels", None)  # the names count
    if table is MODELS and (backbone := backbone_of(config)):
        values["backbone_config"] = _build("backbone", backbone, BACKBONES, layers, side)
    result = kind(**values)
    _check_left_out(config, result, keys)
    return result


def _check_left_out(config: Mapping[str, Any], result: Any, keys: set[str]) -> None:
    """Raises `CheckpointError` where the class has a value by the name of a key that was left out, and another one.

    Such a key comes from a newer transformers. What every configuration has, such as the version, computes nothing.
    """
    common = vars(importlib.import_module("transformers").PretrainedConfig())
    for key, value in config.items():
        if key in keys or key in common or key in WITHOUT_EFFECT:
            continue
        if key in vars(result) and isinstance(value, (bool, int, float, str, list)):
            own = getattr(result, key)
            if (list(own) if isinstance(own, (list, tuple)) else own) != value:
                raise CheckpointError(
                    f"sets {key[:LONGEST_NAME]} to {_text(value)}, which zeroctl does not know; update "
                    "zeroctl, or take another model"
                )


def _plain(key: str, value: Any, layers: int, side: int) -> Any:
    """The value, if it is of the kinds that a network's form is written in."""
    if key == "id2label" and isinstance(value, Mapping):
        return _names(key, value, side)
    if key == "label2id" and isinstance(value, Mapping):
        return {name: number for number, name in _names(key, {v: k for k, v in value.items()}, side).items()}
    if key == "bin_configurations" and isinstance(value, list):
        return [_bins(key, bins, layers, side) for bins in value]
    if isinstance(value, list) and len(value) <= layers:  # something is built for each
        if key in LAYERS and all(isinstance(number, int) for number in value):
            _number(key, sum(value), layers, side)
        return [
            _plain(key, part, layers, side) if isinstance(part, list) else _leaf(key, part, layers, side)
            for part in value
        ]
    return _leaf(key, value, layers, side)


def _leaf(key: str, value: Any, layers: int, side: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return _number(key, value, layers, side)
    if isinstance(value, str) and (value in WORDS or STAGE.fullmatch(value)):
        return value
    raise CheckpointError(f"sets {key} to {_text(value)}; expected numbers or a word that is known")


def _number(key: str, value: float, layers: int, side: int) -> float:
    if isinstance(value, float) and math.isfinite(value):
        return value
    most = layers if key in LAYERS else LARGEST if key in NOT_SIZES else side
    if isinstance(value, float) or abs(value) > most:
        raise CheckpointError(f"sets {key} to {_text(value)}, more than its weights can be for; expected up to {most}")
    return value


def _names(key: str, value: Mapping[Any, Any], side: int) -> dict[int, str]:
    """Number -> name of the classes."""
    try:
        names = {int(number): str(name)[:LONGEST_NAME] for number, name in value.items()}
    except (TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(f"sets {key} to {_text(value)}; expected numbers and names of classes") from error
    if len(names) > side or any(not 0 <= number <= LARGEST for number in names):
        raise CheckpointError(f"sets {key} to {len(names)} classes, more than its weights can be for")
    return names


def _bins(key: str, bins: Any, layers: int, side: int) -> dict[str, Any]:
    if not isinstance(bins, Mapping) or not {*bins} <= BIN_KEYS:
        raise CheckpointError(f"sets {key} to {_text(bins)}; expected {', '.join(sorted(BIN_KEYS))}")
    return {
        name: str(value)[:LONGEST_NAME] if name == "name" else _leaf(key, value, layers, side)
        for name, value in bins.items()
    }


def _text(value: Any) -> str:
    """A value of the file, for messages: what is long or deep is cut."""
    if isinstance(value, (Mapping, list)):
        return f"a {'dict' if isinstance(value, Mapping) else 'list'} of {len(value)}"
    try:
        text = repr(value)
    except ValueError:  # a whole number of more digits than Python prints
        return "a very large number"
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}..."
