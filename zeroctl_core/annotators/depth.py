"""Depth: near is white, far is black."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .annotator import annotator
from .params import Choice, Param
from .pictures.antialiased import antialiased
from .pictures.seen_size import at_seen_size, seen_size
from .pictures.through_net import check_finite, in_parts
from .transformers_models import TransformersModel, model_for
from .transformers_models.dpt_any_size import any_size

PERCENTILES = (2, 85)
"""Of the distances: nearer than the first is white, farther than the second is black."""

PARAMS = (
    Param(
        "detect_size",
        518,
        range=(126, 2044),
        step=14,
        help="Short side in pixels at which the net sees the picture. Depth Anything was trained at 518, DPT and "
        "ZoeDepth at 384. Higher values show finer detail, may lose large forms, and cost time and memory.",
        advanced=True,
    ),
    Choice(
        "normalise",
        ("minmax", "percentile", "batch"),
        help="minmax: the nearest point is white and the farthest black, as depth ControlNets were trained. "
        "percentile: the farthest 15 % are black and the nearest 2 % white, as in the released ZoeDepth annotator; for "
        "pictures with a sky or one very near thing. batch: minmax over all pictures together, for video, where one "
        "of its own for each frame flickers.",
        advanced=True,
    ),
    Choice(
        "invert",
        ("auto", "yes", "no"),
        help="Depth ControlNets expect near as white. auto inverts the maps of nets that predict metres (ZoeDepth, "
        "metric Depth Anything, DPT on DINOv2). yes and no are for a net that is not recognised.",
    ),
)


def finish(parts: Tensor, normalise: str, **settings: object) -> Tensor:
    """The distances of a batch on one scale, where that is asked."""
    return nearness(parts) if normalise == "batch" else parts


@annotator(
    "depth",
    union_type=1,
    net_names=("depth", "midas", "zoe"),
    params=PARAMS,
    task="depth",
    title="Depth",
    aliases=("depth anything", "depth map", "midas"),
    summary="How near everything is, near white and far black, for depth ControlNets: by Depth Anything, DPT or "
    "ZoeDepth from a folder.",
    short_side="detect_size",
    finish=finish,
)
def depth(image: Tensor, net: nn.Module, detect_size: int, normalise: str, invert: str) -> Tensor:
    """Depth as the released ControlNets were trained on, but of full depth: never rounded to 8 bits.

    [B, 3, H, W] in 0..1  ->  [B, 3, H, W] float32 in 0..1, three equal channels

    Each picture has its own black and white unless `normalise` is batch; where all is equally far it is black.
    Source: near is white and per-image min-max in annotator/midas, percentiles 2 and 85 in annotator/zoe of CN1.1.
    """
    model = model_for("depth", net, "depth")
    depth_map = predict_depth(image, model, int(detect_size))
    distances = depth_map if (is_metric(model) if invert == "auto" else invert == "yes") else -depth_map
    if normalise == "batch":  # `finish` sees all pictures of the batch
        return distances[:, None].repeat(1, 3, 1, 1)
    near = torch.stack([nearness(plane, normalise) for plane in distances])
    return near[:, None].repeat(1, 3, 1, 1)


def predict_depth(image: Tensor, model: TransformersModel, detect_size: int) -> Tensor:
    """What the net predicts, in its own units, brought to the size of the picture.

    [B, 3, H, W] in 0..1  ->  [B, H, W] float32 on the image's device

    Bilinear: bicubic overshoots at the outlines, where the steps are large, and halos would set black and white.
    Raises `ValueError` where the net gives NaN or infinity.
    """
    if model.model_type == "zoedepth":
        image, border = _with_border(image)
    else:
        border = (0, 0)
    height, width = image.shape[2:]
    size = seen_size(height, width, detect_size, multiple_of(model))
    planes = []
    for part in in_parts(image, model):
        with any_size(model.model, *size) if model.model_type == "dpt" else nullcontext():
            output = model(pixel_values=model.pixel_values(at_seen_size(part, size)))
        planes.append(output.predicted_depth.to(device=image.device, dtype=torch.float32))
    depth_maps = torch.cat(planes)
    check_finite(f"depth by {model.model_type}", depth_maps)
    if depth_maps.shape[1:] != (height, width):
        depth_maps = antialiased(depth_maps[:, None], (height, width), "bilinear")[:, 0]
    return depth_maps[:, border[0] : height - border[0], border[1] : width - border[1]]


def nearness(distances: Tensor, normalise: str = "minmax") -> Tensor:
    """Distances [..., H, W] in any unit -> nearness in 0..1; where all are the same, up to rounding, 0.

    Percentiles that coincide, because most of the picture is equally far, give way to the nearest and the farthest.
    """
    low, high = distances.amin().item(), distances.amax().item()
    rounding = 8 * torch.finfo(torch.float32).eps * max(abs(low), abs(high))
    if normalise == "percentile":
        second, last = (float(value) for value in np.percentile(distances.cpu().numpy(), PERCENTILES))
        if last - second > rounding:
            low, high = second, last
    if high - low <= rounding:
        return torch.zeros_like(distances)
    return ((high - distances) / (high - low)).clamp(0, 1)


def is_metric(model: TransformersModel) -> bool:
    """Whether the net predicts distances, larger is farther, and not inverse depth, larger is nearer.

    DPT on DINOv2 exists for NYU and KITTI alone, both in metres.
    """
    config: Any = model.config
    backbone = getattr(config, "backbone_config", None)
    if model.model_type == "dpt":
        return getattr(backbone, "model_type", "") == "dinov2"
    return model.model_type == "zoedepth" or getattr(config, "depth_estimation_type", "relative") == "metric"


def multiple_of(model: TransformersModel) -> int:
    """The sides that the net sees are multiples of this many pixels.

    Depth Anything takes any number of patches of 14. DPT and ZoeDepth halve the map of their patches once, so that an
    odd number would come back as an even one and shift the depth: 32 for patches of 16, 28 for DINOv2's of 14.
    Backbones with finer steps want 32, too.
    """
    config: Any = model.config
    backbone = getattr(config, "backbone_config", None)
    if model.model_type == "depth_anything":
        return _side(config.patch_size)
    patch = _side(getattr(backbone, "patch_size", None) or getattr(config, "patch_size", None) or 16)
    return 32 if 32 % patch == 0 else 2 * patch


def _side(patch: Any) -> int:
    return int(patch if isinstance(patch, int) else patch[0])


def _with_border(image: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """The picture with its mirror image around it, and how many pixels (above and below, left and right).

    ZoeDepth is wrong along the borders, so that its released code lets it see more. Source: `infer` of CN1.1's
    annotator/zoe, without the average with the mirrored picture, which takes twice as long.
    """
    height, width = image.shape[2:]
    rows, columns = (int(math.sqrt(length / 2) * 3) for length in (height, width))
    mode = "reflect" if rows < height and columns < width else "replicate"
    return F.pad(image.float(), (columns, columns, rows, rows), mode=mode), (rows, columns)
