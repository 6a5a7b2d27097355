"""Poses are drawn as the released OpenPose annotator draws them, from whatever found the key points."""

from __future__ import annotations

import copy
import hashlib
import re
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from posed_people import FACE, HAND, P, Q, bodies, flat, frame, pixels, whole

from zeroctl_core.annotators.pose import (
    DIALECTS,
    Frame,
    Person,
    draw_pose,
    openpose_from_coco,
    read_keypoints,
    write_keypoints,
)
from zeroctl_core.annotators.pose.draw import COLORS, DOT

RELEASED = Path(__file__).resolve().parents[3] / "data" / "poses"


def assert_is(picture: torch.Tensor, name: str, sha1: str) -> None:
    """The released picture, of which `sha1` is the SHA-1 of its RGB bytes [H, W, 3].

    It is kept as a file for an OpenCV that rounds an outline otherwise: 99.9 % of the pixels are enough.
    """
    released = np.asarray(Image.open(RELEASED / f"{name}.png").convert("RGB"))
    assert hashlib.sha1(released.tobytes()).hexdigest() == sha1
    assert (pixels(picture) == released).all(axis=-1).mean() >= 0.999


# Recorded from lllyasviel/ControlNet-v1-1-nightly, annotator/openpose/util.py, with OpenCV 5.0; 4.10 gives the same.
def test_one_person_is_the_released_picture():
    assert_is(draw_pose(bodies(P), 512, 512), "one_person", "2129c1ac97efc78f60033568a9abc794eb7eff4d")


def test_two_persons_are_drawn_limb_by_limb():
    """Person by person, as comfyui_controlnet_aux has it, is another picture where they overlap: 712 pixels."""
    together = draw_pose(bodies(P, Q), 512, 512)
    assert_is(together, "two_persons", "dff4683f7438f0fe811667443fd35226320e0369")
    first, second = pixels(draw_pose(bodies(P), 512, 512)), pixels(draw_pose(bodies(Q), 512, 512))
    one_by_one = np.where(second.any(axis=-1, keepdims=True), second, first)
    assert (one_by_one != pixels(together)).any(axis=-1).sum() == 712


def test_a_hand_is_the_released_picture():
    hand = [frame({"hand_right_keypoints_2d": flat(HAND)})]
    assert_is(draw_pose(hand, 512, 512, hands=True), "hand", "c836e77840a48197eca75fb6cb7f830560ef0ce4")
    assert draw_pose(hand, 512, 512).sum() == 0


def test_a_face_is_the_released_picture():
    face = [frame({"face_keypoints_2d": flat(FACE)})]
    assert_is(draw_pose(face, 512, 512, face=True), "face", "855ac08d1eaeaed04ab618d3751d731081bb9670")
    assert draw_pose(face, 512, 512).sum() == 0


def test_colors_of_limbs_and_joints():
    picture = pixels(draw_pose(bodies(P), 512, 512))

    def middle(a: int, b: int) -> list[int]:
        x, y = (P[a] + P[b]) / 2 * 512
        return picture[int(y), int(x)].tolist()

    assert middle(1, 2) == [153, 0, 0] and middle(8, 9) == [0, 153, 51] and middle(11, 12) == [0, 102, 153]
    for point, color in zip(P, COLORS, strict=True):
        x, y = (point * 512).astype(int)
        assert picture[y, x].tolist() == list(color)


def dialects() -> dict[str, list[dict[str, Any]]]:
    nothing = [0.0] * 63
    sdpose = {**whole((512, 384), nothing), "foot_keypoints_2d": [5.0, 5.0, 1.0] * 6}
    return {
        "aux OpenPose": [frame(whole(), height=384)],
        "aux DWPose": [frame(whole((512, 384)), height=384)],
        "SDPose": [frame(sdpose, height=384)],
    }


@pytest.mark.parametrize("size", [(384, 512), (333, 517), (96, 1024)])
def test_three_dialects_give_one_picture(size):
    pictures = [draw_pose(frames, *size, hands=True, face=True) for frames in dialects().values()]
    assert pictures[0].sum() > 0
    assert torch.equal(pictures[0], pictures[1]) and torch.equal(pictures[0], pictures[2])


@pytest.mark.parametrize("name", dialects())
def test_what_is_written_reads_back_and_is_the_hosts(name):
    frames = dialects()[name]
    keypoints = write_keypoints(read_keypoints(frames))
    person = keypoints[0]["people"][0]
    # SDPoseDrawKeypoints reshapes each part to this many points of three numbers, and takes no None
    counts = {"pose": 18, "foot": 6, "face": 70, "hand_right": 21, "hand_left": 21}
    assert {key: len(part) for key, part in person.items()} == {f"{k}_keypoints_2d": 3 * n for k, n in counts.items()}
    assert (keypoints[0]["canvas_width"], keypoints[0]["canvas_height"]) == (512, 384)
    for switches in ({}, {"hands": True, "face": True}):
        assert torch.equal(draw_pose(keypoints, 200, 300, **switches), draw_pose(frames, 200, 300, **switches))


def test_points_are_scaled_and_then_drawn_never_the_picture():
    """An upper arm is as thick at four times the size; an enlarged picture of it would be four times as thick."""
    arm = [frame({"pose_keypoints_2d": [0.0] * 3 + flat(P[1:3]) + [0.0] * 45})]
    for side in (256, 1024):
        column = pixels(draw_pose(arm, side, side))[:, int(0.45 * side)].any(axis=-1)
        assert column.sum() == 9


def test_a_batch_is_its_frames_and_the_input_stays():
    frames = bodies(P) + bodies(Q) + [frame()]
    before = copy.deepcopy(frames)
    together = draw_pose(frames, 120, 90)
    assert together.shape == (3, 3, 120, 90) and together.dtype == torch.float32
    assert torch.equal(together, torch.cat([draw_pose([one], 120, 90) for one in frames]))
    assert frames == before
    assert together[2].sum() == 0


@pytest.mark.parametrize("frames", [[], [frame()], [frame({"pose_keypoints_2d": None})], [{**frame(), "people": None}]])
def test_nobody_is_a_black_picture(frames):
    picture = draw_pose(frames, 48, 64)
    assert picture.shape == (1, 3, 48, 64) and picture.sum() == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 517), (333, 517)])
def test_takes_tiny_and_odd_sizes(size):
    picture = draw_pose(bodies(P, Q), *size, hands=True, face=True, stick_scale="auto_xinsir")
    assert picture.shape == (1, 3, *size) and 0 <= picture.min() and 0 < picture.max() <= 1


def test_a_point_that_was_not_found_takes_its_limbs_with_it():
    points = flat(P)
    points[3 * 3 + 2] = 0.0  # right elbow
    picture = pixels(draw_pose([frame({"pose_keypoints_2d": points})], 512, 512, threshold=0))
    colors = {tuple(color) for color in picture.reshape(-1, 3).tolist()}
    assert tuple(COLORS[3]) not in colors and tuple(COLORS[2]) in colors
    dim = [tuple(int(level * 0.6) for level in COLORS[limb]) for limb in (2, 3)]
    assert not colors & set(dim)


@pytest.mark.parametrize(("threshold", "is_drawn"), [(0.3, True), (0.31, False), (0, True)])
def test_threshold(threshold, is_drawn):
    frames = [frame({"pose_keypoints_2d": flat(P, score=0.3)})]
    assert (draw_pose(frames, 64, 64, threshold=threshold).sum() > 0) == is_drawn


def test_points_that_are_no_numbers_or_far_away_are_left_out():
    points = flat(P, (512, 512))
    points[0], points[4], points[6] = float("nan"), float("inf"), 1e12
    picture = draw_pose([frame({"pose_keypoints_2d": points})], 512, 512)
    expected = flat(P, (512, 512))
    expected[2] = expected[5] = expected[8] = 0.0
    assert torch.equal(picture, draw_pose([frame({"pose_keypoints_2d": expected})], 512, 512))


def test_limb_gain_and_switches():
    full = pixels(draw_pose(bodies(P), 512, 512, limb_gain=1.0))
    dim = pixels(draw_pose(bodies(P), 512, 512))
    dots = pixels(draw_pose(bodies(P), 512, 512, limb_gain=0.0))
    assert full.astype(int).sum() > dim.astype(int).sum() > dots.astype(int).sum() > 0
    assert draw_pose(bodies(P), 512, 512, body=False).sum() == 0


@pytest.mark.parametrize(("side", "factor"), [(499, 1), (500, 2), (1024, 3), (2048, 4)])
def test_xinsir_scale_follows_the_longer_side(side, factor):
    """controlnet-openpose-sdxl-1.0's model card: 1 below 500, 2 below 1000, 3 below 2000, ... 7; limbs and joints."""
    auto = draw_pose(bodies(P), 64, side, stick_scale="auto_xinsir")
    assert torch.equal(auto, draw_pose(bodies(P), 64, side, stick_scale=factor))
    # one joint alone shows the radius
    joint = [frame({"pose_keypoints_2d": [0.5, 0.5, 1.0] + [0.0] * 51})]
    row = draw_pose(joint, 64, side, stick_scale="auto_xinsir")[0, 0, 32]
    assert (row > 0).sum() == 2 * DOT * factor + 1


def test_body_25_loses_the_hips_middle_and_the_feet():
    numbers = np.concatenate([np.insert(P, 8, [0.5, 0.55], axis=0), np.full((6, 2), 0.95)])
    assert len(numbers) == 25
    assert torch.equal(draw_pose(bodies(numbers), 256, 256), draw_pose(bodies(P), 256, 256))


def test_normalised_points_may_stick_out_of_the_picture():
    half_out = P + [0.6, 0.0]
    in_pixels = [frame({"pose_keypoints_2d": flat(half_out, (512, 512))})]
    assert torch.equal(draw_pose(bodies(half_out), 512, 512), draw_pose(in_pixels, 512, 512))


def test_one_frame_without_its_list_and_points_in_threes():
    one = bodies(P)[0]
    nested = frame({"pose_keypoints_2d": np.array(flat(P)).reshape(18, 3).tolist()})
    assert torch.equal(draw_pose(one, 64, 64), draw_pose([one], 64, 64))
    assert torch.equal(draw_pose([nested], 64, 64), draw_pose([one], 64, 64))


def test_our_own_frames_are_drawn_as_they_are():
    body = np.concatenate([P * 512, np.ones((18, 1))], axis=1)
    ours = Frame((Person(body=body),), 512, 512)
    assert torch.equal(draw_pose([ours], 512, 512), draw_pose(bodies(P), 512, 512))
    assert torch.equal(draw_pose(ours, 512, 512), draw_pose(bodies(P), 512, 512))
    with pytest.raises(ValueError, match=r"body of a person has the shape \(17, 3\); expected \(18, 3\)"):
        Person(body=body[:17])
    with pytest.raises(ValueError, match="0 x 5 pixels"):
        Frame((), 0, 5)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("pose.json", "the text 'pose.json'; expected POSE_KEYPOINT"),
        (None, "expected POSE_KEYPOINT, a list of frames"),
        ([[1, 2]], "frame 0 is a list"),
        ([{}], "entries none; expected people"),
        ([{"animals": [], "canvas_width": 9, "canvas_height": 9}], "animals, which have another skeleton"),
        ([{"people": []}], "frame 0 does not name the height of its canvas .*: give the width and height"),
        ([frame(height=0)], "canvas_height is the number 0"),
        ([{**frame(), "people": "me"}], "people are the text 'me'"),
        ([frame(), frame({}, {"x": 1})], "frame 1, person 1 has the entries x; expected some of pose_keypoints_2d"),
        ([frame(7)], "frame 0, person 0 is the number 7"),  # type: ignore[arg-type]
        (
            [frame({"pose_keypoints_2d": [1.0] * 57})],
            "pose_keypoints_2d holds 57 numbers; expected 17, 18, 20 or 25 points, each x, y, score or x, y.*body off",
        ),
        ([frame({"hand_left_keypoints_2d": [1.0] * 60})], "hand_left_keypoints_2d holds 60.*21 points.*hands off"),
        ([frame({"face_keypoints_2d": ["a", "b", "c"]})], "face_keypoints_2d holds the text 'a' at 0; expected a list"),
        ([frame({"face_keypoints_2d": [1.0] * 216})], "face_keypoints_2d holds 216.*68 or 70 points.*face off"),
    ],
)
def test_refuses_anything_else_with_its_place(value, message):
    with pytest.raises(ValueError, match=message) as refusal:
        draw_pose(value, 64, 64, hands=True, face=True)
    assert not re.search(r"\b(dict|str|int|float|NoneType|ndarray|[a-z]+_[a-z]+\()", str(refusal.value))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"height": 0}, "0 x 64 pixels"),
        ({"limb_gain": 1.5}, "limb_gain is 1.5"),
        ({"stick_scale": "auto"}, "stick_scale is 'auto'"),
        ({"stick_scale": 0}, "stick_scale is 0"),
    ],
)
def test_refuses_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        draw_pose(bodies(P), **{"height": 64, "width": 64, **settings})


def test_coco_becomes_openpose_with_a_neck():
    coco = np.stack([np.arange(17.0), np.arange(17.0) * 10, np.full(17, 0.9)], axis=1)
    coco[6, 2] = 0.5
    mapped = openpose_from_coco(coco)
    assert mapped[[0, *range(2, 18)], 0].tolist() == [0, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3]
    assert mapped[1].tolist() == [5.5, 55.0, 0.5]


@pytest.mark.parametrize("shoulder", [5, 6])
def test_no_neck_where_a_shoulder_is_unsure(shoulder):
    coco = np.ones((2, 17, 3))
    coco[1, shoulder, 2] = 0.3  # not above the threshold
    assert openpose_from_coco(coco)[:, 1, 2].tolist() == [1.0, 0.0]
    assert openpose_from_coco(coco, threshold=0.2)[:, 1, 2].tolist() == [1.0, 0.3]
    with pytest.raises(ValueError, match="expected"):
        openpose_from_coco(coco[:, :16])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_is_written_in_a_dialect_is_read_again(dialect):
    rng = np.random.default_rng(0)
    body = np.concatenate([rng.uniform(10, 90, (18, 2)), np.full((18, 1), 0.7)], axis=1)
    body[[4, 11]] = 0
    frame = Frame((Person(body=body), Person()), 100, 120)
    (read,) = read_keypoints(write_keypoints([frame], dialect))
    assert (read.height, read.width, len(read.people)) == (100, 120, 2)
    assert np.allclose(read.people[0].body[:, :2], body[:, :2])
    assert np.array_equal(read.people[0].body[:, 2] > 0, body[:, 2] > 0)
    assert not any(part.any() for part in read.people[1].parts)


def test_an_unknown_dialect_is_refused():
    with pytest.raises(ValueError, match="expected one of comfyui, aux_openpose, aux_dwpose"):
        write_keypoints([], "coco")


def test_a_dialect_without_scores_keeps_no_point_below_the_threshold():
    (read,) = read_keypoints([frame({"pose_keypoints_2d": flat(P, (512, 512), score=0.2)})])
    for dialect in ("aux_openpose", "aux_dwpose"):
        assert write_keypoints([read], dialect)[0]["people"][0]["pose_keypoints_2d"] is None
        assert write_keypoints([read], dialect, threshold=0.1)[0]["people"][0]["pose_keypoints_2d"] is not None


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_that_is_no_score_is_refused(threshold):
    with pytest.raises(ValueError, match="threshold is .* expected a score from 0 to 1"):
        draw_pose(bodies(P), 64, 64, threshold=threshold)


@pytest.mark.parametrize("side", [30000, 10**6, 2**31 - 1])
def test_a_canvas_of_a_few_bytes_takes_no_memory(side):
    frames = [{"people": [], "canvas_width": side, "canvas_height": side}]
    tracemalloc.start()
    with pytest.raises(ValueError, match=f"{side} x {side} pixels.*a resolution up to 8192 fits"):
        draw_pose(frames, side, side)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
    assert draw_pose(frames, 64, 64).shape == (1, 3, 64, 64)
