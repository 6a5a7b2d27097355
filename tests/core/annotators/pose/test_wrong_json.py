"""Key points and boxes of any other form are refused in words that say what was found, never in Python's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from zeroctl_core.annotators.pose import read_keypoints
from zeroctl_core.annotators.pose.boxes import read_boxes

POINTS = [float(3 * number + 9) for number in range(54)]
CANVAS = {"canvas_width": 200, "canvas_height": 200}
SIDES = {"width": 200, "height": 200}


def body(numbers: Any) -> dict[str, Any]:
    return {"people": [{"pose_keypoints_2d": numbers}], **CANVAS}


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([*POINTS[:3], "head", *POINTS[4:]], "holds the text 'head' at 3"),
        ([POINTS[n : n + 3] for n in range(0, 51, 3)] + [[1.0, 2.0]], "has rows of 2 and of 3 values"),
        ([[1.0, 2.0, "?"]] * 18, "holds the text '?' at 0, 2"),
        ([*POINTS[:-1], {"x": 1}], "holds an object at 53"),
        ([*POINTS[:-1], 10**400], "holds a number at 53"),
        ({"0": 1.0}, "is an object"),
        ("1, 2, 3", "is the text '1, 2, 3'"),
    ],
)
def test_the_first_that_is_no_number_is_named(numbers: Any, text: str) -> None:
    expected = f"frame 0, person 0: pose_keypoints_2d {text}; expected a list of numbers: x, y, score, ..."
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        read_keypoints(body(numbers))


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        ({**SIDES, "keypoints": 5}, "frame 0: keypoints is the number 5; expected a list"),
        ({**SIDES, "keypoints": "points"}, "frame 0: keypoints is the text 'points'; expected a list"),
        ({**SIDES, "bodies": {"candidate": [[1, 2]], "subset": [[0.0, float("inf")]]}}, "bodies are not DWPose's"),
        ({**SIDES, "bodies": {}, "hands": {"left": []}}, "frame 0: hands is an object; expected a list"),
    ],
)
def test_lists_that_are_none_are_named(frame: Any, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        read_keypoints(frame)


ODD = [
    *(None, True, 7, 1.5, 10**400, float("inf"), float("nan"), "text", "", "12", [], {}, {"x": 1}, [1, 2], ["a", "b"]),
    *([[1, 2], [3]], [[1, 2], "x"], [{}], [[[]]], [None], [1, "x", 2] * 18, [["1", "2"]] * 18, [1, 2, {}] * 18),
    *([[1, 2, 3]] * 17 + [[1, 2]], [[1, 2, 3]] * 17 + ["ab"], [[0, "x"]], [[10**400]]),
]
KEYPOINTS: list[Any] = [
    [
        {
            **body(POINTS),
            "people": [{"pose_keypoints_2d": POINTS, "face_keypoints_2d": None, "hand_left_keypoints_2d": []}],
        }
    ],
    {**SIDES, "keypoints": [[float(n + 9), float(n + 9)] for n in range(18)]},
    {
        **SIDES,
        "bodies": {"candidate": [[float(n + 9), float(n + 9)] for n in range(18)], "subset": [list(range(18))]},
        "hands": [[[1.0, 2.0]] * 21] * 2,
        "faces": [[[1.0, 2.0]] * 68],
    },
]
BOXES = [[{"x": 1, "y": 2, "width": 30, "height": 40, "label": "person", "score": 0.5}]]


def with_one_odd(value: Any) -> Iterator[Any]:
    """The value with each of `ODD` in place of it, of any entry, and of the first and the last of any list."""
    yield from ODD
    if isinstance(value, dict):
        for key in value:
            yield from ({**value, key: other} for other in with_one_odd(value[key]))
    if isinstance(value, list) and value:
        for n in {0, len(value) - 1}:
            yield from ([*value[:n], other, *value[n + 1 :]] for other in with_one_odd(value[n]))


@pytest.mark.parametrize(
    ("read", "value"), [*((read_keypoints, value) for value in KEYPOINTS), (read_boxes, BOXES)], ids=range(4)
)
def test_whatever_is_odd_is_read_or_refused_in_words(read: Callable[[Any], Any], value: Any) -> None:
    refused = 0
    for odd in with_one_odd(value):
        try:
            read(odd)
        except ValueError as error:
            refused += 1
            assert not re.search(
                r"is a list; expected a list|convert|inhomogeneous|sequence|numpy|iterable", str(error)
            )
    assert refused > 100
