"""Frames of several canvases keep their proportions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from posed_people import P, flat, frame, pixels

from zeroctl_core.annotators.pose import canvas_of, draw_pose, read_keypoints
from zeroctl_core.annotators.pose.canvases import on_one_canvas


def of(width: int, height: int) -> dict[str, object]:
    return frame({"pose_keypoints_2d": flat(P, (width, height))}, width=width, height=height)


def test_a_wide_frame_after_a_tall_one_is_fitted_and_not_squeezed() -> None:
    wide = read_keypoints(of(1024, 768))[0]
    first, fitted = on_one_canvas([read_keypoints(of(512, 768))[0], wide])
    assert (fitted.height, fitted.width) == (first.height, first.width) == (768, 512)
    before, after = wide.people[0].body[:, :2], fitted.people[0].body[:, :2]
    np.testing.assert_allclose(after, before / 2 + [0, 192])
    picture = pixels(draw_pose([of(512, 768), of(1024, 768)], 768, 512)[1:])
    rows = np.flatnonzero(picture.any(axis=(1, 2)))
    assert 192 <= rows.min() and rows.max() < 768 - 192


def test_an_empty_first_frame_does_not_choose_the_canvas() -> None:
    frames = read_keypoints([frame(width=64, height=64), frame(None, width=9, height=9), of(512, 768)])
    assert canvas_of(frames) == (768, 512)
    assert torch.equal(draw_pose(frames, 768, 512)[2:], draw_pose([of(512, 768)], 768, 512))
    assert canvas_of(frames[:2]) == (64, 64)


@pytest.mark.parametrize("size", [(256, 384), (1024, 1536), (513, 769)])
def test_a_frame_of_the_same_proportions_is_drawn_as_alone(size: tuple[int, int]) -> None:
    pair = draw_pose([of(512, 768), of(*size)], 768, 512)
    assert torch.equal(pair[1:], draw_pose([of(*size)], 768, 512))


def test_a_frame_that_is_fitted_is_told_of() -> None:
    notes: list[str] = []
    on_one_canvas(read_keypoints([of(512, 768), of(256, 384)]), notes.append)
    assert notes == []
    on_one_canvas(read_keypoints([of(512, 768), of(256, 384), of(1024, 768), of(64, 9)]), notes.append)
    assert len(notes) == 1 and "frames 2, 3" in notes[0] and "512 x 768" in notes[0]


def test_points_that_were_not_found_stay_so() -> None:
    body = flat(P, (1024, 768))
    body[12:15] = [0.0] * 3
    wide = frame({"pose_keypoints_2d": body}, width=1024, height=768)
    fitted = on_one_canvas(read_keypoints([of(512, 768), wide]))[1]
    assert not fitted.people[0].body[4].any()
