"""What pose editors and scripts save is read, too."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from posed_people import FACE, HAND, P, Q, bodies, flat, frame, whole

from zeroctl_core.annotators.pose import draw_pose, read_keypoints, read_text

CANVAS = (512, 512)


def drawn(value: Any, canvas: tuple[int, int] | None = None, **switches: bool) -> torch.Tensor:
    return draw_pose(read_keypoints(value, canvas=canvas), 256, 256, **switches)


@pytest.mark.parametrize("people", [(P,), (P, Q)])
def test_the_json_of_an_editor(people: tuple[np.ndarray, ...]) -> None:
    """One list of pixels without scores for all people."""
    points = [[round(x), round(y)] for person in people for x, y in person * 512]
    value = read_text(json.dumps({"width": 512, "height": 512, "keypoints": points}))
    rounded = [frame(*({"pose_keypoints_2d": flat(np.round(person * 512))} for person in people))]
    assert torch.equal(drawn(value), drawn(rounded))


def test_a_list_for_each_person_and_one_in_a_row() -> None:
    expected = drawn(bodies(P, Q))
    nested = {"width": 512, "height": 512, "keypoints": [(P * 512).tolist(), (Q * 512).tolist()]}
    assert torch.equal(drawn(nested), expected)
    assert torch.equal(drawn({**nested, "keypoints": (P * 512).ravel().tolist()}), drawn(bodies(P)))
    persons = {"width": 512, "height": 512, "people": [{"keypoints": flat(one, (512, 512))} for one in (P, Q)]}
    assert torch.equal(drawn(persons), expected)


def test_openposes_own_file_needs_a_canvas() -> None:
    """BODY_25 in pixels, and no word of the picture's size."""
    numbers = np.insert(P, [8] + [18] * 6, [0.5, 0.55], axis=0)
    person = {"person_id": [-1], "pose_keypoints_2d": flat(numbers, (512, 512)), "pose_keypoints_3d": []}
    file = {"version": 1.3, "people": [{**person, "face_keypoints_2d": [], "hand_left_keypoints_2d": []}]}
    assert torch.equal(drawn(file, canvas=CANVAS), drawn(bodies(P)))
    with pytest.raises(ValueError, match="frame 0 does not name the height of its canvas.*give the width and height"):
        drawn(file)


def test_a_canvas_that_the_frame_names_wins_and_that_is_told() -> None:
    notes: list[str] = []
    (one,) = read_keypoints(bodies(P), canvas=(64, 96), tell=notes.append)
    assert (one.height, one.width) == CANVAS and len(notes) == 1 and "512 x 512" in notes[0]
    read_keypoints(bodies(P), canvas=CANVAS, tell=notes.append)
    assert len(notes) == 1


def dwpose(*people: np.ndarray, array: bool = False) -> dict[str, Any]:
    count = len(people)
    candidate, subset = np.concatenate(people), np.arange(18.0 * count).reshape(-1, 18)
    hands = np.stack([HAND * 0.2 + [0.6, 0.45]] * count + [np.full((21, 2), -1.0)] * count)
    faces = np.stack([FACE[:68]] * count)
    if array:
        return {"bodies": {"candidate": candidate, "subset": subset}, "hands": hands, "faces": faces}
    points = {"candidate": candidate.tolist(), "subset": subset.tolist()}
    return {"bodies": points, "hands": hands.tolist(), "faces": faces.tolist()}


@pytest.mark.parametrize("array", [False, True])
def test_the_form_of_dwposes_own_code(array: bool) -> None:
    face = {"face_keypoints_2d": flat(FACE[:68])}
    expected = drawn([frame(*({**whole(), **face, "pose_keypoints_2d": flat(one)} for one in (P, Q)))])
    assert torch.equal(drawn(dwpose(P, Q, array=array), canvas=CANVAS), expected)
    switches = {"hands": True, "face": True}
    expected = drawn([frame({**whole(), **face, "pose_keypoints_2d": flat(P)})], **switches)
    assert torch.equal(drawn(dwpose(P, array=array), canvas=CANVAS, **switches), expected)


def test_what_dwpose_did_not_find() -> None:
    value = dwpose(P)
    value["bodies"]["subset"][0][4] = -1.0
    expected = flat(P)
    expected[12:15] = [0.0] * 3
    assert torch.equal(drawn(value, canvas=CANVAS), drawn([frame({"pose_keypoints_2d": expected})]))
    value["bodies"]["subset"] = [[99.0] * 18]
    with pytest.raises(ValueError, match="frame 0: bodies are not DWPose's; expected candidate"):
        drawn(value, canvas=CANVAS)


@pytest.mark.parametrize("people", [[None], [{}], [None, {}], None, []])
def test_people_of_whom_there_is_nothing(people: Any) -> None:
    assert drawn([{**frame(), "people": people}]).sum() == 0
    both = {**frame(), "people": [*(people or []), {"pose_keypoints_2d": flat(P)}]}
    assert torch.equal(drawn([both]), drawn(bodies(P)))


@pytest.mark.parametrize("side", ["512", 512.0, 512.4, np.int64(512)])
def test_sides_of_a_canvas_in_other_types(side: Any) -> None:
    value = [{**frame({"pose_keypoints_2d": flat(P)}), "canvas_width": side}]
    assert torch.equal(drawn(value), drawn(bodies(P)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pose.json", "not JSON .* at line 1, column 1.*not its path"),
        ('{"people": [\n}', "at line 2, column 1"),
        ("[" * 100_000, "nested too deep"),
    ],
)
def test_text_that_is_not_json(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_text(text)


def test_text_with_a_byte_order_mark() -> None:
    assert read_text('\ufeff {"people": []} ') == {"people": []}
