"""Key points of people in boxes, by ViTPose; `detect_poses` lets either network find people and their points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..networks.movenet import MoveNetMultiPose
from ..params import Param
from ..pictures.check import check_picture
from ..pictures.opencv import check_opencv
from ..pictures.pixels import from_uint8, to_uint8
from ..pictures.through_net import check_finite
from ..transformers_models import TransformersModel, model_for
from .boxes import boxes_for_each, read_boxes, surest
from .coco import openpose_from_coco
from .heatmaps import points_from_heatmaps
from .movenet import poses_by_movenet
from .people import find_people
from .person import Frame, Person

MARGIN = 1.25
"""How much larger than the box the crop is, once the box has the crop's aspect."""

CROPS_AT_ONCE, CROPS_AT_ONCE_ON_CPU = 32, 4

POSE_PARAMS = (
    Param(
        "person_threshold",
        0.5,
        range=(0.0, 1.0),
        step=0.01,
        help="How sure the detector must be of a person; lower finds more people, and more things that are not people.",
    ),
    Param(
        "keypoint_threshold",
        0.3,
        range=(0.0, 1.0),
        step=0.01,
        help="How sure the estimator must be of a key point; others are left out, and limbs that end in them.",
    ),
    Param(
        "max_people",
        20,
        range=(1, 100),
        step=1,
        help="At most so many people a picture, those of whom the detector is surest.",
    ),
)
"""The settings of `detect_poses`."""


def detect_poses(
    image: Tensor,
    estimator: nn.Module,
    detector: nn.Module | None = None,
    boxes: object = None,
    person_threshold: float = 0.5,
    keypoint_threshold: float = 0.3,
    max_people: int = 20,
) -> list[Frame]:
    """The people of each picture: [B, 3, H, W] in 0..1 -> B frames, for `draw_pose` and `write_keypoints`.

    `boxes` say where the people are: BOUNDING_BOX, or what `read_boxes` makes of it. With them the `detector` is not
    asked and `person_threshold` does not count. Without both, each picture counts as one person. MoveNet as the
    `estimator` finds at most six people by itself; a `detector` is then not asked either. Where nobody is found, the
    frame's `note` says why.
    Raises `ValueError` for settings that are out of range, for boxes where MoveNet is the estimator, and for what
    `find_people`, `read_boxes`, `estimate_poses` and `poses_by_movenet` refuse.
    """
    for param, value in zip(POSE_PARAMS, (person_threshold, keypoint_threshold, max_people), strict=True):
        param.check("pose", value)
    if isinstance(estimator, MoveNetMultiPose):
        if boxes is not None:
            raise ValueError(
                "pose: MoveNet finds people by itself and takes no boxes of them; leave the boxes out, or use ViTPose"
            )
        return poses_by_movenet(image, estimator, person_threshold, keypoint_threshold, max_people)
    people: list[np.ndarray] | None = None
    if boxes is not None:
        people = [surest(rows, max_people) for rows in read_boxes(boxes, (image.shape[2], image.shape[3]))]
    elif detector is not None:
        people = find_people(image, detector, person_threshold, max_people)
    frames = estimate_poses(image, people, estimator, keypoint_threshold)
    if boxes is not None or people is None:
        return frames
    note = f"the detector is of nobody surer than the person_threshold of {person_threshold:g}"
    return [frame if len(rows) else replace(frame, note=note) for frame, rows in zip(frames, people, strict=True)]


def estimate_poses(
    image: Tensor, boxes: Sequence[np.ndarray] | None, net: nn.Module, keypoint_threshold: float = 0.3
) -> list[Frame]:
    """Key points of the people in the boxes, in OpenPose's order: [B, 3, H, W] in 0..1 -> B frames.

    `boxes`: an array a picture or one for all, [n, 4] or [n, 5], x0, y0, x1, y1 in pixels; None: one box, the picture.
    `net`: `load_model(folder, "pose")`. Points that score below `keypoint_threshold` are not found, all zero; a person
    of whom none is found is left out.

    Source: transformers' VitPoseImageProcessor. A box grows to the aspect of the crop, then by a quarter; corner pixels
    of the crop lie on the corners of that (UDP), black beyond the picture. Crops of all people of all pictures go
    through the network together, a few at once. A ViTPose++ takes its first set of experts, that of COCO.
    Raises `ValueError` for another network or one that does not find COCO's 17 points, for one that gives NaN or
    infinity, and for what `check_picture` refuses.
    """
    check_picture("pose", image)
    model = model_for("pose", net, "pose")
    height, width = image.shape[2:]
    whole = [np.array([[0, 0, width, height]], dtype=np.float64)]
    each = boxes_for_each(read_boxes(whole if boxes is None else list(boxes)), len(image))
    people: list[list[Person]] = [[] for _ in each]
    boxes_to_crop = [(number, box[:4]) for number, rows in enumerate(each) for box in rows]
    if boxes_to_crop:
        check_opencv("pose")
        pictures = to_uint8(image, by_opencv=True)
        size = _crop_size(model.config)
        on_cpu = next(model.parameters()).device.type == "cpu"
        rest = iter(boxes_to_crop)
        while part := list(islice(rest, CROPS_AT_ONCE_ON_CPU if on_cpu else CROPS_AT_ONCE)):
            areas = np.array([_area(box, size) for _, box in part])
            crops = [_crop(pictures[number], area, size) for (number, _), area in zip(part, areas, strict=True)]
            points = _points(model, np.stack(crops), areas)
            points[~(points[..., 2] >= keypoint_threshold)] = 0
            for (number, _), body in zip(part, openpose_from_coco(points, keypoint_threshold), strict=True):
                if (body[:, 2] > 0).any():
                    people[number].append(Person(body=np.where(body[:, 2:] > 0, body, 0.0)))
    return [
        Frame(tuple(persons), height, width, "" if persons else _why_nobody(len(rows), keypoint_threshold))
        for persons, rows in zip(people, each, strict=True)
    ]


def _why_nobody(boxes: int, threshold: float) -> str:
    if boxes == 0:
        return "there is no box around a person"
    return f"no point in any box scores the keypoint_threshold of {threshold:g}"


def _crop_size(config: Any) -> tuple[int, int]:
    """Height and width of what the network takes: its position embedding allows nothing else."""
    height, width = config.backbone_config.image_size
    return int(height), int(width)


def _area(box: np.ndarray, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Left, top, width and height of what the crop of `size` (height, width) shows."""
    x0, y0, x1, y1 = (float(edge) for edge in box)
    aspect = size[1] / size[0]
    width = max(x1 - x0, (y1 - y0) * aspect) * MARGIN
    height = width / aspect
    return (x0 + x1 - width) / 2, (y0 + y1 - height) / 2, width, height


def _crop(picture: np.ndarray, area: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """[H, W, 3] uint8 -> the area on [*size, 3] uint8."""
    import cv2

    left, top, width, height = area
    across, down = (size[1] - 1) / width, (size[0] - 1) / height
    matrix = np.array([[across, 0, -left * across], [0, down, -top * down]])
    return cv2.warpAffine(
        picture, matrix, (size[1], size[0]), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0
    )


def _points(model: TransformersModel, crops: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """[N, h, w, 3] uint8 -> COCO's points [N, 17, 3], x and y in pixels of the pictures."""
    device = next(model.parameters()).device
    experts = {}
    if getattr(model.config.backbone_config, "num_experts", 1) > 1:
        experts["dataset_index"] = torch.zeros(len(crops), dtype=torch.long, device=device)
    with torch.no_grad():
        output = model(pixel_values=model.pixel_values(from_uint8(crops, device).contiguous()), **experts)
    check_finite(f"pose by {model.model_type}", output.heatmaps)
    heatmaps = output.heatmaps.float().cpu().numpy()
    if heatmaps.shape[1] != 17:
        raise ValueError(
            f"this pose network finds {heatmaps.shape[1]} points; expected the 17 of COCO, "
            "such as those of usyd-community/vitpose-base-simple"
        )
    points = points_from_heatmaps(heatmaps)
    map_height, map_width = heatmaps.shape[2:]
    scale = areas[:, 2:] / (map_width - 1, map_height - 1)
    points[..., :2] = points[..., :2] * scale[:, None] + areas[:, None, :2]
    return points
