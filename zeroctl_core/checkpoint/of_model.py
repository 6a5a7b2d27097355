"""Files of controls that are made of a MODEL's weights: recognised by what they hold, loaded, or refused."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ..bases import BASES, Base, recognise
from ..files.checkpoint_error import checkpoint_errors
from ..files.key_faults import key_faults, named, short
from ..files.on_meta import on_meta
from ..files.plural import plural
from ..files.values import check_values
from ..files.weight_file import CheckpointError, WeightFile, open_weight_file
from ..network.control_lora import ControlLora
from ..network.controlnet import ControlNet
from ..network.difference import Difference
from ..network.of_model import FIRST, NetOfModel, is_own
from ..network.provenance import CheckpointInfo
from ..network.spec import LATENT_CHANNELS
from .inside import Control, control_in
from .loading import check_dtypes, check_quantised, main_dtype
from .pooling import pooling

__all__ = ["changes_in", "is_of_model", "load_of_model"]

KINDS: tuple[type[NetOfModel], ...] = (Difference, ControlLora)
CONDITION_ENCODER = "input_hint_block.0."
"""The rest may be 0: what a training did not change, and what begins as 0."""
Shapes = dict[str, tuple[int, ...]]


def is_of_model(path: str | os.PathLike[str]) -> bool:
    """Whether a file holds such a control, by its keys. What cannot be opened is none: loading says why."""
    try:
        return _kind(open_weight_file(Path(path))) is not None
    except (FileNotFoundError, CheckpointError):
        return False


def load_of_model(path: str | os.PathLike[str], *, check_finite: bool = True, mapped: bool = True) -> NetOfModel:
    """Load a difference file or a Control-LoRA for SD 1.x, SD 2.x or SDXL. Arguments as of `load_controlnet`.

    Raises `FileNotFoundError` for a missing file, `CheckpointError` for whatever else is wrong with it.
    """
    file = open_weight_file(Path(path), mapped=mapped)
    kind = _kind(file)
    if kind is None:
        raise CheckpointError(f"{short(file.path.name)} does not hold changes of a MODEL's weights: load it as it is")
    with checkpoint_errors(file.path, f"read as a {kind.kind}"):
        control, weights, base = _recognised_as(kind, file)
        pools, pooling_source = pooling(file, base.name)
        if check_finite:
            check_values(file.path, weights, lambda key: not key.startswith(CONDITION_ENCODER), file.extremes)
    info = CheckpointInfo(
        path=file.path,
        layout=control.layout,
        prefix=control.prefix,
        mapped=mapped,
        dtype=main_dtype(weights.values()),
        n_parameters=sum(value.numel() for value in weights.values()),
        metadata=dict(file.metadata),
        global_average_pooling=pools,
        pooling_source=pooling_source,
        ignored=control.others,
    )
    return kind(base, weights, info)


def changes_in(file: WeightFile) -> tuple[str, Base] | None:
    """What people call such a file, and the base that its keys and shapes belong to; None for another kind of file.

    Raises `CheckpointError` for one that is incomplete or of no base.
    """
    kind = _kind(file)
    return None if kind is None else (kind.kind, _recognised_as(kind, file)[2])


def _recognised_as(kind: type[NetOfModel], file: WeightFile) -> tuple[Control, dict[str, Tensor], Base]:
    check_quantised(file)
    control = control_in(file)
    if extra := list(kind.weights_in({key: value for key, value in file.tensors.items() if key in control.extra})):
        raise _refusal(file, kind, f"{plural(len(extra), 'key')} beside the control ({named(extra)})")
    weights = kind.weights_in(control.weights)
    check_dtypes(file, weights)
    try:
        shapes = kind.shapes(weights)
    except ValueError as error:
        raise _refusal(file, kind, short(str(error))) from error
    return control, weights, _base(file, kind, shapes)


def _kind(file: WeightFile) -> type[NetOfModel] | None:
    return next((kind for kind in KINDS if kind.looks(file.tensors.keys())), None)


def _base(file: WeightFile, kind: type[NetOfModel], shapes: Shapes) -> Base:
    """The base with its spec, although layers of the UNet may be missing.

    Raises `CheckpointError` for shapes of no family, and for keys that its network does not have.
    """
    first = shapes.get("zero_convs.0.0.weight", (0,))[0]
    shapes = {FIRST: (first, LATENT_CHANNELS, 3, 3), **shapes}
    base = _recognised(shapes)
    if base is None and (base := _recognised(linear := _with_linear_projections(shapes))) is not None:
        shapes = linear
    if base is None or _faults(base, shapes):  # the spec may be read wrongly where layers are missing
        base = next((full for full in BASES.values() if not _faults(full, shapes)), base)
    if base is None:
        raise _refusal(
            file, kind, f"its keys and shapes fit no network; its first keys are {named(list(file.tensors))}"
        )
    if faults := _faults(base, shapes):
        raise _refusal(file, kind, f"as a control of the {base.title} family, {'; '.join(faults)}")
    return base


def _recognised(shapes: Shapes) -> Base | None:
    try:
        return recognise(shapes)
    except ValueError:
        return None


def _with_linear_projections(shapes: Shapes) -> Shapes:
    """Factors of a linear layer may be written as 1x1 convolutions; what projections are, the family decides."""
    projections = (".proj_in.weight", ".proj_out.weight")
    return {key: shape[:2] if key.endswith(projections) else shape for key, shape in shapes.items()}


def _refusal(file: WeightFile, kind: type[NetOfModel], reason: str) -> CheckpointError:
    remedy = "The file is incomplete or made for something else"
    return CheckpointError(f"{short(file.path.name)} cannot be loaded as a {kind.kind}: {reason}. {remedy}")


def _faults(base: Base, shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """How a file differs from the network of a base. What a UNet has may be missing."""
    with on_meta():
        net = ControlNet(base, device="meta")
    expected = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    return key_faults({key: shape for key, shape in expected.items() if is_own(key) or key in shapes}, shapes)
