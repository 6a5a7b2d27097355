"""A whole checkpoint of SD 1.x, 2.x or SDXL: its UNet, what it was trained with, and the parts beside."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..bases import Base, recognise
from ..files.checkpoint_error import checkpoint_errors
from ..files.key_faults import LONGEST_REASON, key_faults, named, short
from ..files.on_meta import on_meta
from ..files.plural import plural
from ..files.suspects import suspect
from ..files.values import check_values
from ..files.weight_file import CheckpointError, WeightFile, open_weight_file, unwrapped
from ..network.spec import LATENT_CHANNELS
from ..network.unet import UNet
from .loading import QUANTISED_ENDINGS, check_dtypes
from .training_noise import TrainingNoise, training_noise

__all__ = ["WholeCheckpoint", "open_checkpoint"]

UNET, AUTOENCODER = "model.diffusion_model.", "first_stage_model."
TEXT_ENCODERS = ("cond_stage_model.", "conditioner.embedders.")
"""Prefix of SD 1.x and 2.x, and of SDXL."""
EXPECTED = "expected a whole checkpoint of SD 1.x, SD 2.x or SDXL: UNet, autoencoder and text encoder in one file"
REMEDY = "Give the file that ComfyUI's Load Checkpoint loads"


@dataclass(frozen=True, kw_only=True)
class WholeCheckpoint:
    """The parts of a checkpoint in the mapped file, without their prefixes but for the text encoders'."""

    path: Path
    base: Base  # with the spec as read
    noise: TrainingNoise
    unet_weights: Mapping[str, Tensor]
    autoencoder_weights: Mapping[str, Tensor]
    text_weights: Mapping[str, Tensor]

    def unet(self, dtype: torch.dtype = torch.float32) -> UNet:
        """The UNet in one dtype, frozen; weights that have it stay in the mapped file.

        Raises `CheckpointError` for numbers that cannot be weights.
        """
        check_values(self.path, self.unet_weights, lambda key: False)
        with on_meta():
            unet = UNet(self.base, device="meta")
        unet.load_state_dict({key: weight.to(dtype) for key, weight in self.unet_weights.items()}, assign=True)
        return unet.eval().requires_grad_(False)


def open_checkpoint(path: str | os.PathLike[str]) -> WholeCheckpoint:
    """Open a whole checkpoint, and refuse by its keys and shapes what is none.

    Raises `FileNotFoundError` for a missing file, `CheckpointError` for a part alone, another kind of file, another
    family, an inpaint model, quantised weights, keys that are too many or missing, and noise that is not known.
    """
    path = Path(path)
    if path.is_dir():
        raise CheckpointError(f"{short(str(path))} is a folder; {EXPECTED}. {REMEDY}")
    file = open_weight_file(path)
    with checkpoint_errors(path, "read as a checkpoint"):
        tensors = unwrapped(file)
        unet, autoencoder = _below(tensors, UNET), _below(tensors, AUTOENCODER)
        text = {key: tensor for key, tensor in tensors.items() if key.startswith(TEXT_ENCODERS)}
        _check_parts(file, tensors, {"UNet": unet, "autoencoder": autoencoder, "text encoder": text})
        base = _base(file, unet)
        return WholeCheckpoint(
            path=path,
            base=base,
            noise=training_noise(path, tensors, base, unet),
            unet_weights=unet,
            autoencoder_weights=autoencoder,
            text_weights=text,
        )


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key[len(prefix) :]: tensor for key, tensor in tensors.items() if key.startswith(prefix)}


def _check_parts(file: WeightFile, tensors: Mapping[str, Tensor], parts: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Refuse a file without one of the parts, by what it seems to be."""
    missing = [name for name, part in parts.items() if not part]
    if not missing:
        return
    name, kind = short(file.path.name), suspect(tensors.keys())
    if kind is None or len(missing) < len(parts):
        raise CheckpointError(
            f"{name} has no {' and no '.join(missing)}; {EXPECTED}. Its first keys are {named(list(tensors))}. {REMEDY}"
        )
    raise CheckpointError(f"{name} seems to be {kind.title}; {EXPECTED}. {REMEDY}")


def _base(file: WeightFile, unet: Mapping[str, Tensor]) -> Base:
    """The family of the UNet, whose keys and shapes are exactly those of its spec."""
    name = short(file.path.name)
    if scales := [key for key in file.tensors if key.endswith(QUANTISED_ENDINGS)]:
        raise CheckpointError(
            f"{name} is quantised: it holds {plural(len(scales), 'scale')} ({named(scales)}) beside its weights; "
            "expected fp16, bf16 or fp32. Get the version in one of these"
        )
    check_dtypes(file, unet)
    shapes = {key: tuple(tensor.shape) for key, tensor in unet.items()}
    try:
        base = recognise(shapes)
    except ValueError as error:
        reason = short(str(error), LONGEST_REASON)
        raise CheckpointError(f"the UNet of {name} fits no network ({reason}); {EXPECTED}. {REMEDY}") from error
    if base is None:
        raise CheckpointError(f"the UNet of {name} is of another family; {EXPECTED}. Give another base")
    if base.spec.in_channels != LATENT_CHANNELS:
        raise CheckpointError(
            f"the UNet of {name} reads {base.spec.in_channels} channels, as that of an inpaint model; expected "
            f"{LATENT_CHANNELS}, the latent alone. Give the model that it was made from: its controls act on both"
        )
    with on_meta():
        expected = {key: tuple(value.shape) for key, value in UNet(base, device="meta").state_dict().items()}
    if faults := key_faults(expected, shapes):
        raise CheckpointError(
            f"the UNet of {name} is not one of the {base.title} family: {'; '.join(faults)}. The file is incomplete or "
            "made for something else"
        )
    return base
