"""Poses: key points of people from whatever found them, drawn as the OpenPose ControlNets were trained on."""

from __future__ import annotations

from .boxes import read_boxes
from .coco import openpose_from_coco
from .draw import draw_pose
from .estimate import POSE_PARAMS, detect_poses, estimate_poses
from .keypoints import DIALECTS, read_keypoints, write_keypoints
from .people import find_people, seen_pixels
from .person import Frame, Person

__all__ = [
    "DIALECTS",
    "POSE_PARAMS",
    "Frame",
    "Person",
    "detect_poses",
    "draw_pose",
    "estimate_poses",
    "find_people",
    "openpose_from_coco",
    "read_boxes",
    "read_keypoints",
    "seen_pixels",
    "write_keypoints",
]
