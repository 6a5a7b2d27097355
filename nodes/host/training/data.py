"""Pictures of the graph, or a folder of them, prepared for training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.utils
import torch
from torch import Tensor

from zeroctl_core.annotator_files.annotator_net import AnnotatorNet
from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.files.plural import plural
from zeroctl_core.train.display import Say
from zeroctl_core.train.prepare.cache import Index
from zeroctl_core.train.prepare.checking import check_samples
from zeroctl_core.train.prepare.fault import Fault
from zeroctl_core.train.prepare.preparing import Drawing, Report, prepare
from zeroctl_core.train.prepare.sample import Sample, TensorPicture
from zeroctl_core.train.surprise import surprises_said

from ..annotators.nets import annotator_net
from .base import encoders_of

__all__ = ["TrainingData", "checked", "prepared", "samples_of", "with_net"]


@dataclass(frozen=True)
class TrainingData:
    """What the socket ZEROCTL_TRAINING_DATA holds."""

    folder: Path
    index: Index
    clip: Any
    vae: Any
    net: AnnotatorNet | None = None  # with which the conditions were drawn, and scores draw them again


def with_net(drawing: Drawing, may_download: bool) -> Drawing:
    """A drawing with the network that its annotator needs, if any. Raises what `annotator_net` raises."""
    if not drawing.annotator:
        return drawing
    with torch.inference_mode(False):
        net = annotator_net(ANNOTATORS[drawing.annotator], drawing.settings, may_download, drawing.size)
    return replace(drawing, net=net)


def samples_of(images: Sequence[Tensor], conditions: Sequence[Tensor], captions: Sequence[str]) -> list[Sample]:
    """Lists of IMAGE batches [B, H, W, 3] and texts as samples: one caption for each picture, or one for all.

    Raises `ValueError` for numbers that do not fit together.
    """
    pictures = [picture for batch in images for picture in batch]
    maps = [picture for batch in conditions for picture in batch]
    if maps and len(maps) != len(pictures):
        raise ValueError(
            f"there are {plural(len(pictures), 'picture')} and {plural(len(maps), 'condition')}; expected one "
            "condition for each picture, in the same order"
        )
    if len(captions) not in (0, 1, len(pictures)):
        raise ValueError(
            f"there are {plural(len(pictures), 'picture')} and {plural(len(captions), 'caption')}; expected one "
            "caption for each picture, or one for all"
        )
    texts = list(captions) * len(pictures) if len(captions) == 1 else list(captions) or [""] * len(pictures)
    return [
        Sample(
            name=f"{number:06}",
            picture=_picture("images", picture),
            condition=_picture("conditions", maps[number]) if maps else None,
            caption=" ".join(texts[number].split()),
        )
        for number, picture in enumerate(pictures)
    ]


def checked(
    samples: Sequence[Sample], drawing: Drawing, folder: Path, *, clip: Any, vae: Any, say: Say
) -> tuple[list[Sample], list[Fault]]:
    """The samples that can be used, and what is wrong with all, with the host's bar; an interrupt is heard at each.

    Raises what `check_samples` and `encoders_of` raise.
    """
    losses = encoders_of(clip, vae).left_out
    with torch.inference_mode(False), surprises_said(say):
        return check_samples(samples, drawing, losses, _shown(), folder=folder)


def prepared(
    samples: Sequence[Sample],
    drawing: Drawing,
    folder: Path,
    *,
    held_out: int,
    clip: Any,
    vae: Any,
    say: Say,
) -> TrainingData:
    """Encode samples with a CLIP and a VAE, with the host's bar; an interrupt is heard at every row.

    Raises what `prepare` and `encoders_of` raise.
    """
    base = encoders_of(clip, vae)
    with torch.inference_mode(False), surprises_said(say):
        index = prepare(samples, drawing, base, folder, held_out=held_out, report=_shown(), say=say)
    return TrainingData(folder, index, clip, vae, drawing.net)


def _shown() -> Report:
    """The host's bar; it raises where the user interrupts."""
    bar: list[Any] = []

    def report(n: int, number: int) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        if not bar:
            bar.append(comfy.utils.ProgressBar(number))
        bar[0].update_absolute(n, number)

    return report


def _picture(name: str, pixels: Tensor) -> TensorPicture:
    if pixels.dim() != 3 or pixels.shape[2] != 3:
        raise ValueError(
            f"{name} holds a picture of the shape {tuple(pixels.shape)}; expected [height, width, 3]. Put a picture "
            "with transparency over a background first"
        )
    with torch.inference_mode(False):
        return TensorPicture(pixels.detach().clone().movedim(-1, 0).float())
