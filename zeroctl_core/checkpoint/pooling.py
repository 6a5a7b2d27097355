"""Whether a control pools its residuals, by all that is known of its file."""

from __future__ import annotations

import json
import re
from pathlib import Path

from ..files.key_faults import short
from ..files.weight_file import CheckpointError, WeightFile
from .header import POOLING_KEY

HOST_ENDINGS = ("_shuffle", "_shuffle_fp16")
"""ComfyUI goes by these names, whatever the family."""
SHUFFLE = re.compile(r"(?<![a-z])shuffle(?![a-z])", re.IGNORECASE)
"""The released shuffle control of SD 1.5 pools, which its keys do not show: control_v11e_sd15_shuffle.pth, and what
people and sites call it, `controlnet11Models_shuffle`, `Shuffle-fp16`."""
PUBLISHED_NAME = "diffusion_pytorch_model"
"""Of every file in the diffusers layout; the net's name is that of its folder then."""
CONFIG_KEY = "global_pool_conditions"
YAML_LINE = re.compile(r"^\s*global_average_pooling:\s*(true|false)\s*$", re.IGNORECASE | re.MULTILINE)
LONGEST_CONFIG = 100_000


def pooling(file: WeightFile, base: str) -> tuple[bool, str | None]:
    """Whether the network averages its residuals over space, and what says so: None where nothing does.

    The header of a file that this package wrote comes first, then the .yaml that the originals have beside them, the
    config.json of a diffusers folder, the file's name, and the folder's name for a file with diffusers' general one.

    Raises `CheckpointError` for a header with another word than true or false.
    """
    value = file.metadata.get(POOLING_KEY)
    if value is not None:
        if value not in ("true", "false"):
            raise CheckpointError(
                f"{short(file.path.name)}: its header holds {POOLING_KEY} {short(value)!r}; expected true or false"
            )
        return value == "true", "header"
    if (config := _yaml(file.path.with_suffix(".yaml"))) is not None:
        return config, ".yaml beside it"
    general = file.path.stem.startswith(PUBLISHED_NAME)
    if general and (config := _config(file.path.parent)) is not None:
        return config, "config.json"
    name, source = (file.path.parent.name, "folder name") if general else (file.path.stem, "file name")
    if name.endswith(HOST_ENDINGS) or (base == "sd15" and SHUFFLE.search(name)):
        return True, source
    return False, None


def _yaml(path: Path) -> bool | None:
    """What the original's config says; None where there is none that says it."""
    match = YAML_LINE.search(_small_text(path))
    return None if match is None else match[1].lower() == "true"


def _config(folder: Path) -> bool | None:
    """What the config beside a diffusers file says; None where there is none that says it."""
    try:
        value = json.loads(_small_text(folder / "config.json")).get(CONFIG_KEY)
    except (ValueError, AttributeError, RecursionError):
        return None
    return value if isinstance(value, bool) else None


def _small_text(path: Path) -> str:
    """The text of a config; empty where there is none, or what lies there is not one."""
    try:
        if path.is_file() and path.stat().st_size <= LONGEST_CONFIG:
            return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        pass
    return ""
