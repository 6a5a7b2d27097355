"""Boxes are read by themselves: in 0..1 or in pixels, around people or around something else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zeroctl_core.annotators.pose import read_boxes

SIZE = (768, 512)  # height, width


def box(x: float, y: float, width: float, height: float, **rest: Any) -> dict[str, Any]:
    return {"x": x, "y": y, "width": width, "height": height, **rest}


def test_each_box_in_fractions_is_scaled() -> None:
    pixels = [128, 192, 384, 576, 1]
    (boxes,) = read_boxes([box(0.25, 0.25, 0.5, 0.5), box(128, 192, 256, 384), box(-0.1, 0, 1.2, 1.1)], SIZE)
    np.testing.assert_allclose(boxes, [pixels, pixels, [-51.2, 0, 563.2, 844.8, 1]])
    for rows in (np.array([[0.25, 0.25, 0.75, 0.75]]), [np.array([[0.25, 0.25, 0.75, 0.75, 1.0]])]):
        np.testing.assert_allclose(read_boxes(rows, SIZE)[0], [pixels])
    np.testing.assert_allclose(read_boxes(read_boxes([box(0.25, 0.25, 0.5, 0.5)], SIZE), SIZE)[0], [pixels])


def test_on_a_tiny_picture_a_box_is_in_pixels() -> None:
    np.testing.assert_allclose(read_boxes([box(0, 0, 1, 1)], (1, 1))[0], [[0, 0, 1, 1, 1]])


@pytest.mark.parametrize(
    ("boxes", "why"),
    [
        ([box(1, 2, 30, 40, label="face")] * 3, "3 labelled face"),
        ([box(1, 2, 30, 40, label="man"), box(1, 2, 30, 40, label="0")], "1 labelled man, 1 labelled 0"),
        ([box(600, 2, 30, 40), box(1, -50, 30, 40)], "2 outside of the picture"),
        ([box(10, 2, -30, 40), box(10, 2, 0, 40)], "2 without area"),
        ([box(200, 100, 1, 1)], "1 smaller than 2 pixels"),
    ],
)
def test_what_is_left_out_is_told(boxes: list[dict[str, Any]], why: str) -> None:
    notes: list[str] = []
    assert read_boxes([boxes], SIZE, notes.append)[0].shape == (0, 5)
    assert notes == [f"boxes are left out: {why}"]


@pytest.mark.parametrize("label", ["person", "Person 0.93", "PERSON:1", "person_2", "", None])
def test_labels_of_people(label: str | None) -> None:
    notes: list[str] = []
    assert len(read_boxes([box(1, 2, 30, 40, label=label)], SIZE, notes.append)[0]) == 1
    assert notes == []
