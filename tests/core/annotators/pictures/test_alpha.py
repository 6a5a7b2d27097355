"""What is transparent: paper around a drawing, nothing around a map."""

from __future__ import annotations

import pytest
import torch

from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.annotators.pictures.alpha import without_alpha
from zeroctl_core.annotators.pictures.pixels import over_white

LINES = ("canny", "lineart", "lines", "scribble")


def on_transparent(level: float) -> torch.Tensor:
    """[1, 4, 96, 96]: two bars of one grey level, nothing around them."""
    image = torch.zeros(1, 4, 96, 96)
    image[:, :3] = level
    image[:, 3, 20:26, 10:86] = 1
    image[:, 3, 40:80, 50:56] = 1
    return image


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("level", [0.0, 0.4, 0.85, 1.0])
def test_ink_and_chalk_on_transparent_are_the_same_lines(name, level):
    entry = ANNOTATORS[name]
    lines = entry(without_alpha(on_transparent(level), entry.transparent))
    assert lines.max() > 0.3
    if level in (0.0, 1.0):
        assert torch.equal(lines, entry(over_white(on_transparent(0.0))))


def test_each_picture_of_a_batch_has_its_own_chalk():
    both = torch.cat([on_transparent(1.0), on_transparent(0.3)])
    result = without_alpha(both, "drawing")
    assert torch.equal(result[0, 0], 1 - both[0, 3]) and torch.equal(result[1:], over_white(both)[1:])


@pytest.mark.parametrize("alpha", [0.0, 0.2, 1.0])
def test_a_white_picture_of_one_alpha_is_not_a_drawing(alpha):
    image = torch.ones(1, 4, 8, 8)
    image[:, 3] = alpha
    assert torch.equal(without_alpha(image, "drawing"), over_white(image))


def test_nothing_around_a_segmentation_map_is_no_class():
    entry = ANNOTATORS["segment_snap"]
    person = torch.tensor([150, 5, 61]) / 255
    image = torch.cat([person.reshape(1, 3, 1, 1).expand(1, 3, 64, 64), torch.zeros(1, 1, 64, 64)], dim=1).clone()
    image[:, 3, 16:48, 16:48] = 1
    result = entry(without_alpha(image, entry.transparent))
    assert {tuple((255 * c).round().int().tolist()) for c in result[0].flatten(1).T} == {(150, 5, 61), (0, 0, 0)}
    assert result[0, :, 0, 0].sum() == 0


def test_nothing_around_normals_stays_black_and_depth_is_not_flattened():
    entry = ANNOTATORS["normal_convert"]
    image = torch.tensor([0.5, 0.5, 1.0, 0.0]).reshape(1, 4, 1, 1).repeat(1, 1, 8, 8)
    assert entry(without_alpha(image, entry.transparent)).max() == 0
    entry = ANNOTATORS["normal"]
    ramp = torch.zeros(1, 4, 64, 64)
    ramp[:, :3, :, 16:48] = torch.linspace(0.1, 0.35, 32)
    ramp[:, 3, :, 16:48] = 1
    normals = entry(without_alpha(ramp, entry.transparent), scale=2550.0)
    inside = normals[0, :, :, 20:44]
    flat = (inside == entry(torch.zeros(1, 3, 8, 8))[0, :, :1, :1]).all(0).float().mean()
    assert flat < 0.2


@pytest.mark.parametrize("transparent", ["white", "black", "drawing"])
def test_a_picture_without_alpha_is_handed_on(transparent):
    image = torch.rand(1, 3, 8, 8)
    assert without_alpha(image, transparent) is image
