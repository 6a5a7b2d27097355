"""Each part of a person is in 0..1 or in pixels by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from posed_people import FACE, HAND, P, flat, frame, whole

from zeroctl_core.annotators.pose import draw_pose, read_keypoints

SIZE = (512, 768)  # width, height
KEYS = ("pose_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d", "face_keypoints_2d")


def drawn(*people: dict[str, Any], **switches: bool) -> torch.Tensor:
    return draw_pose([frame(*people, width=512, height=768)], 768, 512, **{"hands": True, "face": True, **switches})


def in_units(normalised: tuple[str, ...]) -> dict[str, Any]:
    """A person of whom the parts named are in 0..1, and the others in pixels."""
    hand = flat(HAND * 0.2 + [0.1, 0.4])
    fractions, pixels = whole(missing=hand), whole(SIZE, (np.reshape(hand, (21, 3)) * [*SIZE, 1]).ravel().tolist())
    return {key: (fractions if key in normalised else pixels)[key] for key in KEYS}


@pytest.mark.parametrize("normalised", [KEYS, KEYS[:1], KEYS[1:], KEYS[1:2], KEYS[2:3], KEYS[3:], KEYS[:2], ()])
def test_parts_in_two_units_are_one_picture(normalised: tuple[str, ...]) -> None:
    assert torch.equal(drawn(in_units(normalised)), drawn(in_units(())))


def test_people_in_two_units_are_one_picture() -> None:
    other = {"pose_keypoints_2d": flat(P * 0.5 + [0.4, 0.3], SIZE)}
    mixed = drawn({"pose_keypoints_2d": flat(P)}, other)
    assert torch.equal(mixed, drawn({"pose_keypoints_2d": flat(P, SIZE)}, other))


@pytest.mark.parametrize("x", [1.11, 1.9, -1.5])
def test_a_point_beyond_the_frame_keeps_the_part_in_fractions(x: float) -> None:
    points = P.copy()
    points[10, 0] = x
    assert torch.equal(drawn({"pose_keypoints_2d": flat(points)}), drawn({"pose_keypoints_2d": flat(points, SIZE)}))


def lone(x: float, y: float, of: int = 21) -> list[float]:
    return [x, y, 1.0] + [0.0] * (3 * of - 3)


@pytest.mark.parametrize("unit", ["0..1", "pixels"])
def test_a_single_point_follows_its_body(unit: str) -> None:
    """(0.5, 0.5) is the middle of the picture beside a body in 0..1, and its corner beside one in pixels."""
    body = flat(P, SIZE if unit == "pixels" else (1, 1))
    (one,) = read_keypoints([frame({KEYS[0]: body, KEYS[1]: lone(0.5, 0.5)}, width=512, height=768)])
    assert one.people[0].left_hand[0].tolist() == ([0.5, 0.5, 1] if unit == "pixels" else [256, 384, 1])


def test_a_person_of_a_single_point_follows_the_others_of_the_frame() -> None:
    people = {KEYS[0]: flat(P, SIZE)}, {KEYS[0]: lone(1.5, 1.5, 18)}
    (one,) = read_keypoints([frame(*people, width=512, height=768)])
    assert one.people[1].body[0].tolist() == [1.5, 1.5, 1]
    (alone,) = read_keypoints([frame({KEYS[0]: lone(0.5, 0.25, 18)}, width=512, height=768)])
    assert alone.people[0].body[0].tolist() == [256, 192, 1]


def test_a_hand_just_out_of_the_picture_follows_its_person() -> None:
    hand = flat(HAND * 0.1 + [0.5, 2.1])  # below the frame, its farthest point at 2.19
    assert torch.equal(drawn({KEYS[0]: flat(P), KEYS[2]: hand}), drawn({KEYS[0]: flat(P)}))
    (one,) = read_keypoints([frame({KEYS[0]: flat(P), KEYS[2]: hand}, width=512, height=768)])
    assert one.people[0].right_hand[:, 1].min() > 2 * 768


@pytest.mark.parametrize(
    ("people", "part"),
    [
        ([{KEYS[0]: flat(P * 2.6)}], "person 0: pose_keypoints_2d"),
        ([{KEYS[1]: flat(HAND, SIZE), KEYS[3]: flat(FACE), KEYS[2]: lone(1, 1)}], "person 0: hand_right_keypoints_2d"),
        ([{KEYS[0]: flat(P)}, {KEYS[0]: flat(P, SIZE)}, {KEYS[3]: lone(1, 1, 70)}], "person 2: face_keypoints_2d"),
    ],
)
def test_where_the_unit_stays_open_the_part_is_named(people: list[dict[str, Any]], part: str) -> None:
    with pytest.raises(ValueError, match=f"frame 0, {part} could be in 0 to 1 or in pixels"):
        drawn(*people)


def test_an_open_part_that_is_not_drawn_stops_nothing() -> None:
    people = {KEYS[0]: flat(P)}, {KEYS[0]: flat(P, SIZE)}
    odd = {KEYS[3]: lone(1, 1, 70)}
    assert torch.equal(drawn(*people, odd, face=False), drawn(*people, face=False))


def test_a_tiny_canvas_holds_tiny_people() -> None:
    body = flat(P, (16, 16))
    body[0] = 15.0
    (one,) = read_keypoints([frame({KEYS[0]: body}, width=16, height=16)])
    assert one.people[0].body[0, 0] == 15.0
