"""Segmentation: every thing in the colour of its class."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .annotator import annotator
from .colors.class_colors import paint_classes
from .colors.palette import PALETTE, palette_colors
from .pictures.check import check_picture
from .pictures.seen_size import at_seen_size, seen_size
from .pictures.through_net import check_finite, in_parts
from .transformers_models import TransformersModel, model_for

SHORT_SIDE = 512
"""At which the net sees the picture where its folder does not say it: that of most nets for ADE20K."""
MULTIPLE = 32
"""The backbones halve the picture five times."""
CHUNK = 16
"""Classes brought to the picture's size at a time: all 150 of a picture of 4096 x 4096 would take 10 GB."""

SEMANTIC = (49406, 518, 10549, 533, 29119, 1550, 49407)
"""OneFormer is told its task in words: "the task is semantic" in the tokens of CLIP."""

PARAMS = (PALETTE,)


@annotator(
    "segment",
    union_type=5,
    net_names=("segment", "seg"),
    params=PARAMS,
    task="segmentation",
    title="Segmentation",
    aliases=("semantic segmentation", "ade20k", "oneformer"),
    summary="Everything in the exact colour of its class, for segmentation ControlNets: by UperNet, SegFormer, "
    "Mask2Former or OneFormer, trained on ADE20K, from a folder.",
    own_node=True,
    short_side=SHORT_SIDE,
)
def segment(image: Tensor, net: nn.Module, palette: str) -> Tensor:
    """A segmentation map in the colours of the palette and no others.

    [B, 3, H, W] in 0..1  ->  [B, 3, H, W] float32 in 0..1
    """
    return paint_classes(segment_ids(image, net, palette), palette).contiguous()


def segment_ids(image: Tensor, net: nn.Module, palette: str = "ade20k") -> Tensor:
    """The class of each pixel.

    [B, 3, H, W] in 0..1  ->  [B, H, W] int64 on the image's device

    Raises `ValueError` for a bad image, for a net with another number of classes than the palette, and for one that
    gives NaN or infinity.
    """
    check_picture("segment", image)
    model = model_for("segment", net, "segmentation")
    _check_classes(model, len(palette_colors(palette)), palette)
    height, width = image.shape[2:]
    size = seen_size(height, width, min(model.preprocessing.size or (SHORT_SIDE,)), MULTIPLE)
    ids = []
    with torch.no_grad():
        for part in in_parts(image, model):
            scores = class_scores(model, model.pixel_values(at_seen_size(part, size)))
            check_finite(f"segment by {model.model_type}", scores)
            ids.append(best_classes(scores, height, width))
    return torch.cat(ids).to(image.device)


def class_scores(model: TransformersModel, pixel_values: Tensor) -> Tensor:
    """The score of each class at each place: [B, 3, h, w] -> [B, classes, h', w'] float32, smaller than the picture.

    Mask2Former and OneFormer return masks and the class of each, "nothing" last; the score of a class is the sum of the
    masks, each weighted by how likely it is of that class (Cheng et al. 2021, "Per-Pixel Classification is Not All You
    Need", section 3.4).
    """
    if model.model_type in ("upernet", "segformer"):
        return model(pixel_values=pixel_values).logits.float()
    words: dict[str, Tensor] = {}
    if model.model_type == "oneformer":
        words["task_inputs"] = _task(model, pixel_values)
    output = model(pixel_values=pixel_values, **words)
    classes = output.class_queries_logits.float().softmax(dim=-1)[..., :-1]
    masks = output.masks_queries_logits.float().sigmoid()
    return torch.einsum("bqc,bqhw->bchw", classes, masks)


def best_classes(scores: Tensor, height: int, width: int) -> Tensor:
    """[B, classes, h, w] -> the class with the highest score, [B, height, width] int64, the scores enlarged bilinearly.

    Never the classes themselves: between class 1 and class 3 lies no class 2. The same as the argmax of all enlarged
    scores.
    """
    best = torch.full((len(scores), height, width), -torch.inf, device=scores.device)
    ids = torch.zeros(best.shape, dtype=torch.long, device=scores.device)
    for first in range(0, scores.shape[1], CHUNK):
        part = scores[:, first : first + CHUNK]
        if part.shape[2:] != (height, width):
            part = F.interpolate(part, (height, width), mode="bilinear")
        value, at = part.max(dim=1)
        better = value > best
        best = torch.where(better, value, best)
        ids = torch.where(better, at + first, ids)
    return ids


def _task(model: TransformersModel, pixel_values: Tensor) -> Tensor:
    """[B, tokens], the task padded with zeros."""
    config: Any = model.config
    tokens = torch.zeros(config.task_seq_len, device=pixel_values.device)
    tokens[: len(SEMANTIC)] = torch.tensor(SEMANTIC, dtype=tokens.dtype)
    return tokens.expand(len(pixel_values), -1)


def _check_classes(model: TransformersModel, count: int, palette: str) -> None:
    """Raises `ValueError` for a net that was trained on other classes."""
    config: Any = model.config
    if config.num_labels != count:
        names = [str(config.id2label[number]) for number in range(min(3, config.num_labels))]
        raise ValueError(
            f"segment: this {model.model_type} knows {config.num_labels} classes ({', '.join(names)}, ...); "
            f"{palette} has {count} colours: take a folder that was trained on it, its name often ends in -ade"
        )
