"""Poses: key points of people from whatever found them, drawn as the OpenPose ControlNets were trained on."""

from __future__ import annotations

from .black import black_pictures, why_black
from .boxes import read_boxes
from .canvases import canvas_of, on_one_canvas
from .coco import openpose_from_coco
from .draw import draw_pose, drawn_parts
from .editors import read_text
from .estimate import POSE_PARAMS, detect_poses, estimate_poses
from .faces import find_faces
from .keypoints import DIALECTS, read_keypoints, write_keypoints
from .movenet import LONGER_SIDE, poses_by_movenet
from .people import find_people, seen_pixels
from .person import Frame, Person

__all__ = [
    "DIALECTS",
    "LONGER_SIDE",
    "POSE_PARAMS",
    "Frame",
    "Person",
    "black_pictures",
    "canvas_of",
    "detect_poses",
    "draw_pose",
    "drawn_parts",
    "estimate_poses",
    "find_faces",
    "find_people",
    "on_one_canvas",
    "openpose_from_coco",
    "poses_by_movenet",
    "read_boxes",
    "read_keypoints",
    "read_text",
    "seen_pixels",
    "why_black",
    "write_keypoints",
]
