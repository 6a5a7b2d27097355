"""Poses, drawn from the same points."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.differences.levels import Levels, Run, levels
from benchmarks.differences.ours import annotator_tests
from benchmarks.differences.peers import aux, folder_of, hf
from benchmarks.differences.row import Row
from benchmarks.importing import single_file
from zeroctl_core.annotators.pose import draw_pose

Group = Mapping[str, Any]
"""What one picture shows: `bodies`, a list of [18, 2] points in 0..1, and points of `hand_right` and `face`."""


def crowds(person: Levels) -> list[Group]:
    """20 times three of this person, each with a size, a place and a tremor of its own."""
    random = np.random.default_rng(0)
    return [
        {
            "bodies": [
                person * random.uniform(0.3, 0.9, 2) + random.uniform(-0.1, 0.5, 2) + random.normal(0, 0.02, (18, 2))
                for _ in range(3)
            ]
        }
        for _ in range(20)
    ]


def drawn_by_us(groups: Sequence[Group]) -> Run:
    people = annotator_tests("pose/posed_people")

    def run(picture: Levels) -> Levels:
        height, width = picture.shape[:2]
        pictures = []
        for group in groups:
            people_of_group = [{"pose_keypoints_2d": people.flat(body)} for body in group.get("bodies", ())]
            for part in ("hand_right", "face"):
                if part in group:
                    people_of_group.append({f"{part}_keypoints_2d": people.flat(group[part])})
            frame = people.frame(*people_of_group, height=height, width=width)
            pictures.append(levels(draw_pose([frame], height, width, hands=True, face=True)))
        return np.concatenate(pictures)

    return run


def drawn_by_release(groups: Sequence[Group]) -> Run:
    """Each part by the function of cn11's util.py."""

    def run(picture: Levels) -> Levels:
        util = single_file(folder_of("cn11") / "annotator" / "openpose" / "util.py", "cn11_openpose_util")
        pictures = []
        for group in groups:
            bodies = group.get("bodies", ())
            subset = np.arange(18 * len(bodies)).reshape(-1, 18)
            canvas = np.zeros_like(picture)
            if bodies:
                canvas = util.draw_bodypose(canvas, np.concatenate(bodies), subset)
            canvas = util.draw_handpose(canvas, [group["hand_right"]] if "hand_right" in group else [])
            pictures.append(util.draw_facepose(canvas, [group["face"]] if "face" in group else []))
        return np.concatenate(pictures)

    return run


def drawn_by(package: Callable[[str], ModuleType], groups: Sequence[Group]) -> Run:
    """By `draw_poses`, which aux and hf share."""

    def run(picture: Levels) -> Levels:
        module = package("open_pose")
        points = module.Keypoint

        def keypoints(numbers: Any) -> Any:
            return None if numbers is None else [points(float(x), float(y)) for x, y in numbers]

        pictures = []
        for group in groups:
            parts = (None, keypoints(group.get("hand_right")), keypoints(group.get("face")))
            bodies = [keypoints(body) for body in group.get("bodies", ())] or [[None] * 18]
            poses = [module.PoseResult(module.BodyResult(body, 18.0, 18), *parts) for body in bodies]
            pictures.append(module.draw_poses(poses, *picture.shape[:2]))
        return np.concatenate(pictures)

    return run


def rows() -> list[Row]:
    canvas = {"black 512x512": np.zeros((512, 512, 3), np.uint8)}
    wide = {"20 x black 512x768": np.zeros((512, 768, 3), np.uint8)}
    order = (
        "ours: the released annotator/openpose/util.py draws limb by limb over all people, and all joints after; the "
        "peer draws one person after the other, which differs where two overlap"
    )
    people = annotator_tests("pose/posed_people")
    cases: list[tuple[str, list[Group], dict[str, Levels]]] = [
        ("pose, one person", [{"bodies": [people.P]}], canvas),
        ("pose, two persons", [{"bodies": [people.P, people.Q]}], canvas),
        ("pose, three random persons", crowds(people.P), wide),
        ("pose, hand", [{"hand_right": people.HAND}], canvas),
        ("pose, face", [{"face": people.FACE}], canvas),
    ]
    table = []
    for title, groups, pictures in cases:
        mine = drawn_by_us(groups)
        table += [
            Row(
                title=title,
                ours=mine,
                peer="cn11",
                file="annotator/openpose/util.py",
                theirs=drawn_by_release(groups),
                pictures=pictures,
            ),
            Row(
                title=title,
                ours=mine,
                peer="aux",
                file="open_pose",
                theirs=drawn_by(aux, groups),
                pictures=pictures,
                why=order,
            ),
            Row(
                title=title,
                ours=mine,
                peer="hf",
                file="open_pose",
                theirs=drawn_by(hf, groups),
                pictures=pictures,
                why=order,
            ),
        ]
    return table
