"""What files of weights are, by their headers alone: a ControlNet of which base, a UNet of which base."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..bases import Base, recognise
from ..files.checkpoint_error import checkpoint_errors
from ..files.suspects import suspect
from ..files.weight_file import CheckpointError, WeightFile, open_weight_header, unwrapped
from ..network.base import Shapes
from ..network.spec_of_file import union_types
from ..network.t2i_adapter import AdapterBase, T2IAdapter
from .adapters import adapter_base, is_adapter
from .header import HEADER
from .layouts import from_diffusers
from .loading import recognised
from .of_model import changes_in

__all__ = ["ControlKind", "control_kind", "unet_base"]

UNET_PREFIXES = ("model.diffusion_model.", "")
"""Of a whole checkpoint, and of a UNet alone."""
PROVENANCE = HEADER + "provenance"


@dataclass(frozen=True)
class ControlKind:
    """base: None where the header does not show it. kind: what people call it where it is not a ControlNet.

    n_types: of a union, None for a plain net. condition: what it was trained on, where its header says so.
    """

    base: Base | AdapterBase | None
    kind: str = ""
    n_types: int | None = None
    condition: str = ""


def control_kind(path: Path) -> ControlKind:
    """What a control is, of any kind that is loaded here. Neither weights nor all keys are checked: loading does that.

    Raises `FileNotFoundError` for a missing file, `CheckpointError` for what is not such a control.
    """
    file = open_weight_header(path)
    if file is None:
        return ControlKind(None)
    with checkpoint_errors(path, "read as a ControlNet"):
        if (changes := changes_in(file)) is not None:
            return ControlKind(changes[1], kind=changes[0])
        if is_adapter(file):
            return ControlKind(adapter_base(file), kind=T2IAdapter.kind)
        control, base = recognised(file)
        return ControlKind(base, n_types=union_types(control.shapes), condition=_condition(file.metadata))


def control_suspect(path: Path) -> str:
    """What a file that is refused seems to be, such as `an IP-Adapter`; empty where nothing shows it."""
    try:
        file = open_weight_header(path)
    except (FileNotFoundError, CheckpointError):
        return ""
    kind = None if file is None else suspect(file.tensors.keys()) or suspect(unwrapped(file).keys())
    return "" if kind is None else kind.title


def unet_base(path: Path) -> Base | None:
    """The base of the UNet in a checkpoint or in a file of its own, as read from its shapes; None for another kind.

    Raises what `control_kind` raises.
    """
    file = open_weight_header(path)
    if file is None:
        return None
    with checkpoint_errors(path, "read as a model"):
        shapes = _unet_shapes(file)
        try:
            return recognise(shapes) if shapes else None
        except ValueError:  # claimed by a family, but with shapes of its own
            return None


def _unet_shapes(file: WeightFile) -> Shapes:
    tensors = unwrapped(file)
    for prefix in UNET_PREFIXES:
        shapes = {key[len(prefix) :]: tuple(value.shape) for key, value in tensors.items() if key.startswith(prefix)}
        if "input_blocks.0.0.weight" in shapes:
            return shapes
        if "conv_in.weight" in shapes and any(key.startswith("down_blocks.") for key in shapes):
            return from_diffusers(shapes)
    return {}


def _condition(metadata: Mapping[str, str]) -> str:
    """What our own training wrote down."""
    try:
        value = json.loads(metadata.get(PROVENANCE, "{}"))["config"]["condition"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    return value if isinstance(value, str) else ""
