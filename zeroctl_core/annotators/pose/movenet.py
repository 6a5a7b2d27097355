"""People and their key points in one go, by MoveNet MultiPose."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..networks.movenet import MoveNetMultiPose
from ..networks.movenet_decoding import decode_people
from ..pictures.antialiased import antialiased
from ..pictures.check import check_picture
from ..pictures.pixels import in_range
from ..pictures.through_net import check_finite, in_parts
from .coco import openpose_from_coco
from .person import Frame, Person

LONGER_SIDE = 256
"""Pixels of the longer side that the network sees. At 320 and more it lost scikit-image's astronaut, at 512 its
photographer, too: people who fill the picture are then larger than those that it was trained on."""

PICTURES_AT_ONCE = 16
"""On an accelerator."""

OF_THE_THRESHOLD = 0.5
"""The score of a person is a product of two, so it counts from half of the threshold on: at the default of .5 that is
.25, the released default (minPoseScore of tfjs-models' MoveNet)."""

NO_POINT = "no point of the people whom MoveNet finds scores the keypoint_threshold of {:g}"


def poses_by_movenet(
    image: Tensor, net: MoveNetMultiPose, person_threshold: float, keypoint_threshold: float, max_people: int
) -> list[Frame]:
    """At most six people of each picture, the surest first: [B, 3, H, W] in 0..1 -> B frames.

    People from half of `person_threshold` on; points below `keypoint_threshold` are not found, all zero, and a person
    of whom none is found is left out. Where nobody is found, the frame's `note` says why.

    Source: the page of the published model and `estimateMultiplePoses` of tfjs-models' MoveNet: the longer side becomes
    256 pixels, black is added below or to the right up to a multiple of 32. Unlike there, the filter that makes the
    picture smaller is antialiased, and 8-bit levels are rounded.
    Raises `ValueError` for a net that gives NaN or infinity, and for what `check_picture` refuses.
    """
    check_picture("pose", image)
    height, width = image.shape[2:]
    weight = next(net.parameters())
    frames = []
    with torch.no_grad():
        for part in in_parts(image, net, PICTURES_AT_ONCE):
            inside, scale = _fitted(in_range(part), net.multiple)
            maps = net(inside.to(device=weight.device, dtype=weight.dtype))
            check_finite("pose by MoveNet", maps)
            points, boxes = (output.cpu().double().numpy() for output in decode_people(maps))
            points[..., :2] *= scale
            for people, scores in zip(points, boxes[..., 4], strict=True):
                order = np.argsort(-scores, kind="stable")
                sure = [row for row in order if scores[row] >= OF_THE_THRESHOLD * person_threshold][:max_people]
                persons = _persons(people[sure], keypoint_threshold)
                note = NO_POINT.format(keypoint_threshold) if sure else _note(scores.max(), person_threshold)
                frames.append(Frame(persons, height, width, "" if persons else note))
    return frames


def _note(score: float, threshold: float) -> str:
    return (
        f"MoveNet is of nobody surer than {score:.2g}, and people count from half of the person_threshold of "
        f"{threshold:g} on"
    )


def _fitted(image: Tensor, multiple: int) -> tuple[Tensor, np.ndarray]:
    """What the network sees, and the width and height of that in pixels of the picture."""
    height, width = image.shape[2:]
    longer = max(height, width)
    small_height, small_width = (max(1, int(LONGER_SIDE * side / longer + 0.5)) for side in (height, width))
    small = antialiased(image, (small_height, small_width), "bilinear").mul(255).round().div(255)
    padded = F.pad(small, (0, -small_width % multiple, 0, -small_height % multiple))
    return padded, np.array([padded.shape[3] * width / small_width, padded.shape[2] * height / small_height])


def _persons(points: np.ndarray, threshold: float) -> tuple[Person, ...]:
    """COCO's points [n, 17, 3] of people -> those of whom a point is found."""
    points = np.where(points[..., 2:] >= threshold, points, 0.0)
    bodies = openpose_from_coco(points, threshold)
    return tuple(Person(body=np.where(body[:, 2:] > 0, body, 0.0)) for body in bodies if (body[:, 2] > 0).any())
