"""Find people on pictures: their boxes, by RT-DETR or RT-DETRv2."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..pictures.antialiased import antialiased
from ..pictures.check import check_picture
from ..pictures.through_net import check_finite, in_parts
from ..transformers_models import model_for
from .boxes import PERSON, surest

SIZE = (640, 640)
"""Height and width at which the released networks were trained; pictures are squeezed to it, not padded."""

PICTURES_AT_ONCE = 8
"""On an accelerator."""


def seen_pixels(height: int, width: int) -> int:
    """How many pixels a picture has for the detector at the least: its own, or those that it is squeezed to."""
    return max(height * width, SIZE[0] * SIZE[1])


def find_people(image: Tensor, net: nn.Module, threshold: float = 0.5, max_people: int = 20) -> list[np.ndarray]:
    """[B, 3, H, W] in 0..1 -> for each picture [n, 5] float64: x0, y0, x1, y1 in its pixels and a score above
    `threshold`, the highest first; nobody is fine. A box may reach a little beyond the picture.

    `net`: `load_model(folder, "people")`, its labels those of COCO or others with a "person".

    Source: transformers' RTDetrImageProcessor. Pictures are resized by an antialiased bilinear filter and not
    normalised, unless the folder says so; scores are sigmoids, boxes are centre and size as fractions of the picture.
    Raises `ValueError` for another network or one without the label "person", for one that gives NaN or infinity, and
    for what `check_picture` refuses.
    """
    check_picture("people", image)
    model = model_for("people", net, "people")
    person = _person_label(model.config)
    size = model.preprocessing.size or SIZE
    height, width = image.shape[2:]
    scale = torch.tensor([width, height, width, height], dtype=torch.float64)
    people: list[np.ndarray] = []
    with torch.no_grad():
        for part in in_parts(image, model, PICTURES_AT_ONCE):
            squeezed = antialiased(part.float().clamp(0, 1), size, "bilinear")
            output = model(pixel_values=model.pixel_values(squeezed))
            check_finite(f"people by {model.model_type}", output.logits, output.pred_boxes)
            scores = output.logits[..., person].float().sigmoid().cpu().double()
            centre, extent = output.pred_boxes.float().cpu().double().split(2, dim=-1)
            corners = torch.cat([centre - extent / 2, centre + extent / 2], dim=-1) * scale
            for boxes, score in zip(corners, scores, strict=True):
                rows = torch.cat([boxes, score[:, None]], dim=1)[score > threshold].numpy()
                people.append(surest(rows, max_people))
    return people


def _person_label(config: Any) -> int:
    labels = {str(label).strip().lower(): int(number) for number, label in dict(config.id2label).items()}
    if PERSON not in labels:
        some = ", ".join(list(labels)[:5]) + (", ..." if len(labels) > 5 else "")
        raise ValueError(
            f"this detector has no label {PERSON!r} among its {len(labels)} ({some}); "
            "use an RT-DETR that was trained on COCO, such as PekingU/rtdetr_r50vd_coco_o365"
        )
    return labels[PERSON]
