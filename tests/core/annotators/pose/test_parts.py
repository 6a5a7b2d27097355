"""A part of a person is read from the numbers in which programs write it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from posed_people import FACE, HAND, P, bodies, flat, frame

from zeroctl_core.annotators.pose import draw_pose, openpose_from_coco, read_keypoints

COCO = P[[0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10]]
"""The same person as COCO's 17 points, without a neck."""


def drawn(person: dict[str, Any], notes: list[str] | None = None, **switches: bool) -> torch.Tensor:
    tell = (lambda _: None) if notes is None else notes.append
    return draw_pose(read_keypoints([frame(person)], tell=tell), 256, 256, **switches)


@pytest.mark.parametrize("points", [56, 69, 71, 90])
def test_a_face_of_any_points_does_not_stop_a_body(points: int) -> None:
    person = {"pose_keypoints_2d": flat(P), "face_keypoints_2d": flat(np.resize(FACE, (points, 2)))}
    assert torch.equal(draw_pose([frame(person)], 256, 256), draw_pose(bodies(P), 256, 256))
    with pytest.raises(ValueError, match="pose_keypoints_2d"):
        draw_pose([frame({**person, "pose_keypoints_2d": [1.0] * 10})], 256, 256)


def test_a_broken_hand_does_not_stop_a_face_and_a_broken_body_no_hand() -> None:
    person = {"pose_keypoints_2d": "?", "hand_left_keypoints_2d": flat(HAND), "face_keypoints_2d": {}}
    only_hand = draw_pose([frame({"hand_left_keypoints_2d": flat(HAND)})], 64, 64, body=False, hands=True)
    assert torch.equal(draw_pose([frame(person)], 64, 64, body=False, hands=True), only_hand)


@pytest.mark.parametrize(("points", "dots"), [(56, 56), (69, 69), (71, 70)])
def test_the_points_of_an_incomplete_face_are_drawn_and_that_is_told(points: int, dots: int) -> None:
    face = np.resize(FACE, (points, 2))
    notes: list[str] = []
    whole = np.concatenate([flat(face[:dots]), np.zeros(3 * (70 - dots))]).tolist()
    assert torch.equal(
        drawn({"face_keypoints_2d": flat(face)}, notes, face=True), drawn({"face_keypoints_2d": whole}, face=True)
    )
    assert len(notes) == 1 and f"{points} points" in notes[0]


def test_whole_faces_and_bodies_are_told_nothing_of() -> None:
    notes: list[str] = []
    for points in (FACE, FACE[:68]):
        drawn({"pose_keypoints_2d": flat(P), "face_keypoints_2d": flat(points)}, notes, face=True)
    assert notes == []


def test_of_twenty_body_points_the_toes_are_left_out_and_that_is_told() -> None:
    notes: list[str] = []
    toes = np.concatenate([P, [[0.4, 0.97], [0.6, 0.97]]])
    assert torch.equal(drawn({"pose_keypoints_2d": flat(toes)}, notes), draw_pose(bodies(P), 256, 256))
    assert len(notes) == 1 and "20 points" in notes[0] and "toes" in notes[0]


def test_points_of_coco_get_a_neck() -> None:
    (one,) = read_keypoints([frame({"pose_keypoints_2d": flat(COCO, (512, 512), 0.8)})])
    scores = np.concatenate([COCO * 512, np.full((17, 1), 0.8)], axis=1)
    np.testing.assert_allclose(one.people[0].body, openpose_from_coco(scores))
    assert np.allclose(one.people[0].body[2:, :2], P[2:] * 512)


def test_no_neck_between_a_shoulder_and_none() -> None:
    points = flat(COCO, (512, 512))
    points[15:18] = [0.0, 0.0, 1.0]  # the left shoulder, as some programs write what they did not find
    (one,) = read_keypoints([frame({"pose_keypoints_2d": points})])
    assert not one.people[0].body[1].any() and not one.people[0].body[5].any()


@pytest.mark.parametrize("body", [P, COCO, np.insert(P, [8] * 1 + [18] * 6, [0.5, 0.55], axis=0)])
def test_points_without_scores(body: np.ndarray) -> None:
    person, plain = ({"pose_keypoints_2d": numbers} for numbers in (flat(body), body.ravel().tolist()))
    assert torch.equal(drawn(plain), drawn(person))
    assert torch.equal(drawn({"pose_keypoints_2d": body.tolist()}), drawn(person))


def test_hands_and_faces_without_scores() -> None:
    for key, points in (
        ("hand_left_keypoints_2d", HAND),
        ("face_keypoints_2d", FACE),
        ("face_keypoints_2d", FACE[:68]),
    ):
        switches = {"hands": True, "face": True}
        assert torch.equal(drawn({key: points.ravel().tolist()}, **switches), drawn({key: flat(points)}, **switches))


@pytest.mark.parametrize("gap", [None, [None, None], [0, 0], [-1, -1], [float("nan"), 3]])
def test_what_was_not_found_among_points_without_scores(gap: Any) -> None:
    rows: list[Any] = (P * 512).tolist()
    rows[3] = gap
    expected = flat(P, (512, 512))
    expected[9:12] = [0.0] * 3
    assert torch.equal(drawn({"pose_keypoints_2d": rows}), drawn({"pose_keypoints_2d": expected}))


@pytest.mark.parametrize("scale", [(1, 1), (512, 512)])
def test_a_point_in_the_very_corner_is_one_that_was_not_found(scale: tuple[float, float]) -> None:
    """As programs without scores write it: no limb may run into the corner."""
    corner, expected = flat(P, scale), flat(P, scale)
    corner[12:15], expected[12:15] = [0.0, 0.0, 1.0], [0.0] * 3
    picture = drawn({"pose_keypoints_2d": corner})
    assert torch.equal(picture, drawn({"pose_keypoints_2d": expected}))
    assert picture[..., :20, :20].sum() == 0
