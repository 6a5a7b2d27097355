"""Edges in bands are those of one call, and a long one can be stopped."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data

from zeroctl_core.annotators.pictures import canny_edges as module
from zeroctl_core.annotators.pictures.canny_edges import canny_edges
from zeroctl_core.annotators.pictures.pause import pausing


def spiral(side: int) -> np.ndarray:
    """One faint edge through all bands, back and forth, that a single strong place carries on."""
    picture = np.zeros((side, side, 3), np.uint8)
    for start in range(0, side - 12, 12):
        picture[4:-4, start : start + 6] = 30
        row = slice(-10, -4) if start // 12 % 2 else slice(4, 10)
        picture[row, start : start + 18] = 30
    picture[side // 2 : side // 2 + 6, 12:18] = 90
    return picture


PICTURES = {
    "astronaut": data.astronaut(),
    "coffee": data.coffee(),
    "noise": np.random.default_rng(0).integers(0, 256, (301, 97, 3), dtype=np.uint8),
    "spiral": spiral(300),
    "a strip": data.astronaut()[:, :3].copy(),
    "white": np.full((90, 70, 3), 255, np.uint8),
}


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize(("low", "high"), [(100, 200), (200, 100), (50, 50), (0, 255), (0, 0), (20, 250)])
@pytest.mark.parametrize("rows", [1, 13, 64])
def test_edges_in_bands_are_opencvs(monkeypatch, name: str, low: int, high: int, rows: int) -> None:
    picture = PICTURES[name]
    monkeypatch.setattr(module, "QUICK", 0)
    monkeypatch.setattr(module, "ROWS", rows * picture.shape[1])
    assert np.array_equal(canny_edges(picture, low, high), cv2.Canny(picture, low, high))


def test_a_faint_edge_through_all_bands_is_carried_on() -> None:
    """The picture of the test above does what it is for: without its strong place nothing is left."""
    picture = spiral(300)
    edges = cv2.Canny(picture, 20, 250)
    assert (edges.max(axis=1) > 0).mean() > 0.9
    picture[picture == 90] = 30
    assert not cv2.Canny(picture, 20, 250).any()


class Stop(Exception):
    """Somebody wants it to stop."""


def test_a_long_one_stops_between_two_bands(monkeypatch) -> None:
    monkeypatch.setattr(module, "QUICK", 0)
    monkeypatch.setattr(module, "ROWS", 64 * 512)
    calls = []

    def stop() -> None:
        calls.append(1)
        if len(calls) == 5:
            raise Stop

    with pausing(stop), pytest.raises(Stop):
        canny_edges(PICTURES["astronaut"], 100, 200)
    calls.clear()
    monkeypatch.setattr(module, "QUICK", 1 << 24)
    with pausing(stop):
        canny_edges(PICTURES["astronaut"], 100, 200)
    assert len(calls) == 1
