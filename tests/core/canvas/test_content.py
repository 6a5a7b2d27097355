"""What a picture holds, told by its colours; and that a large one is told quickly."""

from __future__ import annotations

import time

import cv2
import pytest
import torch
from skimage import data

from zeroctl_core.canvas import content as rules
from zeroctl_core.canvas.content import colours, content_of
from zeroctl_core.canvas.placing import border_colour, resize_condition


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def grey(levels: torch.Tensor) -> torch.Tensor:
    """[H, W] of 0..255 -> [3, H, W] in 0..1"""
    return (levels.float() / 255)[None].repeat(3, 1, 1)


def ramp(levels: int, low: int = 0, high: int = 255) -> torch.Tensor:
    """[64, 400] of so many grey levels from low to high"""
    return (low + (torch.arange(400) * levels // 400) * ((high - low) / (levels - 1))).round().repeat(64, 1)


def moon() -> torch.Tensor:
    return torch.from_numpy(data.moon().copy())  # 175 grey levels


@pytest.mark.parametrize("n", [1, 2, 3, 50, 199, 200, 3000])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_colours_are_those_of_the_picture(n, channels, monkeypatch):
    monkeypatch.setattr(rules, "STRIP", 2000)
    palette = (noise(channels, n, seed=n) * 255).round()
    picture = palette[:, torch.randint(0, n, (97, 50), generator=torch.Generator().manual_seed(1))] / 255
    expected = torch.unique((picture * 255).round().flatten(1).T, dim=0)
    result = colours(picture)
    if len(expected) > 199:
        assert result is None
    else:
        assert result is not None and torch.equal(result.float(), expected)


def test_colours_of_different_strips_count_together(monkeypatch):
    monkeypatch.setattr(rules, "STRIP", 80)
    picture = grey(torch.arange(240)[:, None].repeat(1, 10))
    assert colours(picture) is None
    assert len(colours(picture[:, :199])) == 199


@pytest.mark.parametrize(
    ("levels", "content"),
    [
        (ramp(150), "smooth"),  # a depth
        (ramp(64), "smooth"),
        (ramp(20, 100, 119), "smooth"),  # a low relief
        (moon(), "smooth"),
        (ramp(30), "classes"),
        (ramp(5), "classes"),
        (ramp(3, 0, 128), "classes"),
        (ramp(2), "drawing"),
        (ramp(2, 60, 200), "smooth"),
    ],
)  # fmt: skip
def test_grey_levels_that_are_neighbours_are_no_classes(levels, content):
    assert content_of(grey(levels)) == content
    assert content_of(grey(levels)[:1]) == content
    result = resize_condition(grey(levels)[None], 96, 800, "stretch")
    assert ("filter: nearest" in result.note) == (content == "classes")


def test_coloured_classes_stay_classes_however_near_their_channels_are():
    colour = torch.stack([ramp(150), 255 - ramp(150), ramp(150)]) / 255
    assert content_of(colour) == "classes"


def test_a_depth_in_few_levels_grows_as_one_in_many():
    """Nearest pixels make stairs twice as wide of it."""
    fine = (torch.linspace(0, 1, 400).repeat(300, 1) * 0.6)[None].repeat(3, 1, 1)
    coarse = (fine * 255).round() / 255
    result, expected = (resize_condition(one[None], 600, 800, "stretch").image for one in (coarse, fine))
    assert (result - expected).abs().max() < 0.7 / 255


def test_the_border_of_a_grey_depth_is_the_median_of_its_edge():
    levels = ramp(150)
    levels[:, 0] = 0
    edge = torch.cat([levels[:, 0], levels[:, -1], levels[0], levels[-1]]).sort().values
    median = (edge[(len(edge) - 1) // 2] + edge[len(edge) // 2]) / 2
    assert border_colour(grey(levels)).ravel().tolist() == pytest.approx([float(median) / 255] * 3)


def of_4096(kind: str) -> torch.Tensor:
    """[1, 3, 4096, 4096], channels last in memory as a host has them."""
    picture = cv2.resize(data.coffee(), (4096, 4096), interpolation=cv2.INTER_CUBIC)
    if kind == "edges":
        picture = cv2.cvtColor(cv2.Canny(picture, 20, 60), cv2.COLOR_GRAY2RGB)
    if kind == "classes":
        picture = picture // 64 * 64
    return torch.from_numpy(picture)[None].float().div(255).movedim(-1, 1)


@pytest.mark.parametrize("kind", ["photograph", "classes", "edges"])
def test_a_large_picture_is_placed_without_a_wait(kind):
    picture = of_4096(kind)
    began = time.process_time()
    result = resize_condition(picture, 1024, 768, "fit")
    # .2, .3 and 1 s on one thread; by sorting all pixels and by weights for every pair of them 3.6 s and more
    assert time.process_time() - began < {"photograph": 1.2, "classes": 1.5, "edges": 3.5}[kind]
    assert {"photograph": "area", "classes": "nearest", "edges": "lines"}[kind] in result.note
