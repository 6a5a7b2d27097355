"""Inputs that the annotators' nodes share, and what they say of their files."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from zeroctl_core.annotators import Annotator, Choice, Param, Switch
from zeroctl_core.annotators.networks import NETWORKS
from zeroctl_core.annotators.pictures.resolution import RESOLUTIONS

from ..schema import io, option
from .files import absent
from .folders import absent_folder, folder_names, offered

__all__ = [
    "CATEGORY",
    "condition_output",
    "description",
    "download_input",
    "model_input",
    "resolution_input",
    "setting_input",
]

CATEGORY = "zeroctl/annotate"


ABSENT = "zeroctl_absent"
"""Option of an input, for the scripts of web/js: what is not on disk, by the choice that needs it; "" is any."""


def setting_input(param: Param | Choice | Switch, networks: Mapping[str, str] = MappingProxyType({})) -> Any:
    """`networks`: of the annotator, by the option that needs it."""
    more: dict[str, Any] = {"optional": True} if param.added else {}
    if isinstance(param, Choice):
        more |= _absent({choice: name for choice, name in networks.items() if choice in param.options})
    more |= {"advanced": True} if param.advanced else {}
    if isinstance(param, Choice):
        return option(
            io.Combo, param.name, options=list(param.options), default=param.default, tooltip=param.help, **more
        )
    if isinstance(param, Switch):
        return option(io.Boolean, param.name, default=param.default, tooltip=param.help, **more)
    kind: Any = io.Int if isinstance(param.default, int) else io.Float
    low, high = param.range
    # front ends put this widget beside every seed; not to declare it would shift the saved values by one
    seed = {"control_after_generate": True} if param.name == "seed" else {}
    return option(
        kind,
        param.name,
        default=param.default,
        min=low,
        max=high,
        step=param.step,
        tooltip=param.help,
        **seed,
        **more,
    )


def resolution_input(
    default: int,
    tooltip: str = "Pixels of the short side to annotate at, 64 or more; 0 keeps the picture's size. "
    "Use the short side of the picture that you generate.",
) -> Any:
    return io.Int.Input("resolution", default=default, min=0, max=RESOLUTIONS[1], step=8, tooltip=tooltip)


def _absent(networks: Mapping[str, str]) -> dict[str, Any]:
    texts = {choice: text for choice, name in networks.items() if (text := absent(NETWORKS[name]))}
    return {ABSENT: texts} if texts else {}


def download_input(*, optional: bool = False, network: str = "") -> Any:
    """`network`: that cannot be done without."""
    more: dict[str, Any] = {"optional": True} if optional else {}
    more |= _absent({"": network}) if network else {}
    return option(
        io.Boolean,
        "download",
        default=False,
        **more,
        tooltip="Fetch the files of the network when they are not on disk. Off: nothing is ever fetched, and what is "
        "missing is an error that says where it belongs.",
    )


def condition_output(tooltip: str = "The condition image, for ControlNet Control.") -> Any:
    return io.Image.Output(display_name="condition", tooltip=tooltip)


def description(annotator: Annotator) -> str:
    """What it draws, and the files that it needs with the licences of their weights."""
    files = [f"{NETWORKS[name].file} (weights: {NETWORKS[name].licence})" for name in annotator.networks.values()]
    if annotator.task:
        files.append(f"a folder such as {offered(annotator.task)}")
    return annotator.summary + (f" Files: {'; '.join(files)}." if files else "")


def model_input(task: str, name: str = "model") -> Any:
    """The folder of a transformers model."""
    more = {ABSENT: texts} if (texts := absent_folder(task)) else {}
    return option(
        io.Combo,
        name,
        **more,
        options=folder_names(task),
        tooltip="A folder with config.json and model.safetensors of a transformers model, below ComfyUI's "
        "models/annotators.",
    )
