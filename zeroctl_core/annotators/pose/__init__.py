"""Poses: key points of people from whatever found them, drawn as the OpenPose ControlNets were trained on."""

from __future__ import annotations

from .coco import openpose_from_coco
from .draw import draw_pose
from .keypoints import read_keypoints, write_keypoints
from .person import Frame, Person

__all__ = ["Frame", "Person", "draw_pose", "openpose_from_coco", "read_keypoints", "write_keypoints"]
