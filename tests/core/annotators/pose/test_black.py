"""Why a drawing is black is said in words."""

from __future__ import annotations

from typing import Any

import pytest
from posed_people import HAND, P, flat, frame

from zeroctl_core.annotators.pose import Frame, black_pictures, draw_pose, drawn_parts, read_keypoints, why_black


@pytest.mark.parametrize(
    ("people", "switches", "cause"),
    [
        ([], {}, "nobody is on the frame"),
        ([None, {}], {}, "nothing was found of the body"),
        ([{"pose_keypoints_2d": [0.0] * 54}], {"hands": True}, "nothing was found of the body and hands"),
        ([{"hand_left_keypoints_2d": flat(HAND)}], {}, "of the body, only of the hands, which is switched off"),
        ([{"pose_keypoints_2d": flat(P)}], {"body": False}, "body, hands and face are switched off"),
        (
            [{"pose_keypoints_2d": flat(P, score=0.21)}],
            {},
            "all points score below the threshold of 0.3, the surest 0.21",
        ),
        ([{"pose_keypoints_2d": flat(P + 1.0)}], {}, "all points lie outside of the picture"),
        ([{"pose_keypoints_2d": flat(P, (-512, 512))}], {}, "all points lie outside of the picture"),
    ],
)
def test_the_cause_of_a_black_picture(people: list[Any], switches: dict[str, bool], cause: str) -> None:
    frames = read_keypoints([frame(*people)])
    assert draw_pose(frames, 256, 256, **switches).sum() == 0
    parts = drawn_parts(**{"body": True, "hands": False, "face": False, **switches})
    assert cause in why_black(frames[0], parts, 0.3)


def test_what_found_nobody_says_why() -> None:
    assert why_black(Frame((), 9, 9, note="the detector slept"), ("body",), 0.3) == "the detector slept"


def test_pictures_of_one_cause_are_named_together() -> None:
    assert black_pictures([(0, "nobody")], 1) == "the picture is black: nobody"
    assert black_pictures([(1, "nobody")], 3) == "1 of 3 pictures is black: nobody (1)"
    causes = [(number, "nobody") for number in range(9)] + [(12, "all outside")]
    assert black_pictures(causes, 20) == (
        "10 of 20 pictures are black: nobody (0, 1, 2, 3, 4, 5 and 3 more); all outside (12)"
    )
