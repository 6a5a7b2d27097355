"""The nodes of poses: what goes in beside POSE_KEYPOINT, and what they say where nothing is drawn."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from host_graphs import node
from host_process import Host, NodeFailed
from torch import Tensor

from zeroctl_core.annotators.pose import draw_pose

POINTS = [(0.2 + 0.6 * (step * 7 % 18) / 18, 0.2 + 0.6 * (step * 5 % 18) / 18) for step in range(18)]


def person(width: float, height: float, score: float = 1.0) -> dict[str, list[float]]:
    return {"pose_keypoints_2d": [number for x, y in POINTS for number in (x * width, y * height, score)]}


def frame(*people: Any, width: int = 128, height: int = 192) -> dict[str, Any]:
    return {"canvas_width": width, "canvas_height": height, "people": list(people)}


def drawn(host: Host, keypoints: Any = None, **inputs: Any) -> tuple[Tensor, list[str]]:
    """The drawing, and the texts of the notices."""
    values = {"body": True, "hands": False, "face": False, "threshold": 0.3, "stick_scale": "1", "limb_gain": 0.6}
    graph = {"pose": node("ZeroctlPoseDraw", **{**values, "resolution": 0, **inputs})}
    if keypoints is not None:
        graph["points"] = host.give(keypoints)
        graph["pose"]["inputs"]["keypoints"] = ["points", 0]
    result = host.run(graph, keep={"pose": ["pose", 0]})
    notices = result.sent("zeroctl.notice")
    assert all(data["title"] == "Draw Pose" for data in notices)
    return result["pose"], [data["text"] for data in notices]


PLAIN = draw_pose([frame(person(128, 192))], 192, 128).movedim(1, -1)


@pytest.mark.parametrize("canvas", ["named", "given"])
def test_json_of_an_editor_is_pasted(host, canvas) -> None:
    frames = [frame(person(128, 192))]
    inputs: dict[str, Any] = {}
    if canvas == "given":
        frames = [{"version": 1.3, "people": frames[0]["people"]}]
        inputs = {"width": 128, "height": 192}
    for value in (frames, frames[0]):
        picture, notices = drawn(host, text=json.dumps(value), **inputs)
        assert torch.equal(picture, PLAIN) and not notices


def test_what_the_text_lacks_is_said_in_the_nodes_words(host) -> None:
    file = json.dumps({"people": [person(128, 192)]})
    for inputs, message in (
        ({"text": file}, "frame 0 does not name the height of its canvas.*give the width and height"),
        ({"text": file, "width": 128}, "width is 128 and height 0. Give both"),
        ({"text": "pose.json"}, "the text is not JSON"),
        ({}, "there are no key points. Connect .* or paste the JSON"),
        ({"keypoints": [frame()], "text": file}, "keypoints are connected and text is filled in"),
        (
            {"keypoints": [{**frame(), "people": [{"pose_keypoints_2d": [1.0] * 42}]}]},
            "expected 17, 18, 20 or 25 points",
        ),
    ):
        with pytest.raises(NodeFailed, match=message) as refusal:
            drawn(host, **inputs)
        assert "openpose_from" not in str(refusal.value)


def test_a_canvas_given_beside_one_that_is_named_is_told(host) -> None:
    picture, notices = drawn(host, [frame(person(128, 192))], width=64, height=64)
    assert torch.equal(picture, PLAIN)
    assert len(notices) == 1 and "128 x 192" in notices[0]


@pytest.mark.parametrize("points", [56, 69, 71])
def test_a_face_that_is_not_drawn_does_not_stop_the_body(host, points) -> None:
    one = {**person(128, 192), "face_keypoints_2d": [50.0, 50.0, 1.0] * points}
    picture, notices = drawn(host, [frame(one)])
    assert torch.equal(picture, PLAIN) and not notices
    picture, notices = drawn(host, [frame(one)], face=True)
    assert not torch.equal(picture, PLAIN) and len(notices) == 1 and f"{points} points" in notices[0]


def test_a_black_drawing_says_why(host) -> None:
    for people, cause in (
        ([], "the picture is black: nobody is on the frame"),
        ([person(128, 192, score=0.2)], "all points score below the threshold of 0.3, the surest 0.2"),
        ([person(-128, 192)], "all points lie outside of the picture"),
        ([None], "nothing was found of the body"),
    ):
        picture, notices = drawn(host, [frame(*people)])
        assert not picture.any() and len(notices) == 1 and cause in notices[0]
    picture, notices = drawn(host, [frame(), frame(person(128, 192)), frame()])
    assert notices == ["2 of 3 pictures are black: nobody is on the frame (0, 2)."]


def test_frames_of_several_canvases_keep_their_proportions_and_that_is_told(host) -> None:
    wide = frame(person(256, 192), width=256)
    picture, notices = drawn(host, [frame(width=64, height=64), frame(person(128, 192)), wide])
    assert picture.shape == (3, 192, 128, 3) and torch.equal(picture[1:2], PLAIN)
    rows = picture[2].any(dim=-1).any(dim=-1).nonzero()
    assert 48 <= rows.min() and rows.max() < 144
    (text,) = notices
    assert "frame 2 has other proportions than the canvas of 128 x 192" in text


def test_a_strip_is_refused_with_the_resolution_that_fits(host) -> None:
    strip = [frame(person(16000, 64), width=16000, height=64)]
    with pytest.raises(NodeFailed, match="512 x 128000 pixels.*a resolution up to 65 fits"):
        drawn(host, strip, resolution=512)
    assert drawn(host, strip, resolution=65)[0].shape == (1, 65, 16250, 3)
