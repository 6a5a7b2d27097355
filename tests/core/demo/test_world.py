"""The world is what it says: the same scene twice, exact maps, held-out names kept out."""

from __future__ import annotations

import pytest
import torch

from zeroctl_core.demo.conditions import CONDITIONS
from zeroctl_core.demo.following import colour_names, follow_scores, iou, object_colour, object_mask
from zeroctl_core.demo.shapes import SHAPES
from zeroctl_core.demo.world import COLOURS, COMBINATIONS, SIZE, flat, render, scene, scenes


def test_a_scene_is_a_function_of_seed_number_and_split():
    assert scene(3, 17) == scene(3, 17)
    assert scenes(3, 15, 4)[2] == scene(3, 17)
    others = [scene(4, 17), scene(3, 18), scene(3, 17, "held_out")]
    assert all(other != scene(3, 17) for other in others)


def test_held_out_names_are_never_trained_on_but_all_their_pairs_are():
    train, held_out = set(COMBINATIONS["train"]), set(COMBINATIONS["held_out"])
    assert not train & held_out
    assert len(train) + len(held_out) == len(SHAPES) * len(COLOURS) * (len(COLOURS) - 1)
    for shape, colour, background in held_out:
        assert any(s == shape and c == colour for s, c, _ in train)
        assert any(s == shape and b == background for s, _, b in train)
        assert any(c == colour and b == background for _, c, b in train)
    pairs = {(one.shape, one.colour, one.background) for one in scenes(1, 0, 500)}
    assert pairs <= train


@pytest.fixture(scope="module")
def some():
    world = scenes(1, 0, 48)
    return world, render(world)


def test_objects_lie_inside_and_have_their_colour(some):
    world, truth = some
    assert float(truth.image.min()) >= 0 and float(truth.image.max()) <= 1
    inside = truth.mask[:, 0] > 0.5
    border = torch.ones(SIZE, SIZE, dtype=torch.bool)
    border[2:-2, 2:-2] = False
    assert not bool((inside & border).any())
    assert colour_names(object_colour(truth.image, inside)) == [one.colour for one in world]
    assert float(iou(object_mask(truth.image), inside).mean()) > 0.95


def test_normals_and_shading_follow_from_the_height(some):
    world, truth = some
    inside = truth.mask[:, 0] > 0.5
    length = truth.normals.norm(dim=1)
    assert torch.allclose(length[inside], torch.ones(int(inside.sum())), atol=1e-5)
    assert not bool(length[~inside].any())
    level = [row for row, one in enumerate(world) if one.is_flat]
    assert level and torch.allclose(truth.shading[level], torch.ones(()), atol=1e-6)
    # a slope that rises to the right leans to the left: its normal's first number is negative
    rise = truth.height[:, 0, :, 2:] - truth.height[:, 0, :, :-2]
    interior = inside[:, :, 2:] & inside[:, :, :-2] & inside[:, :, 1:-1]
    steep = interior & (rise.abs() > 0.1)
    assert bool((truth.normals[:, 0, :, 1:-1][steep].sign() == -rise[steep].sign()).all())


@pytest.mark.parametrize("name", list(CONDITIONS))
def test_every_condition_is_an_image_of_its_own(name, some):
    world, truth = some
    image = CONDITIONS[name](truth)
    assert image.shape == (len(world), 3, SIZE, SIZE)
    assert float(image.min()) >= 0 and float(image.max()) <= 1
    assert torch.equal(CONDITIONS[name](render(world[:3])), image[:3])  # a scene's map is its own, whatever the batch
    assert len(torch.unique(image.flatten(1), dim=0)) > 8


def test_a_flat_map_has_the_same_outline_and_no_relief(some):
    world, _ = some
    uneven, even = render(world), render([flat(one) for one in world])
    assert torch.equal(uneven.mask, even.mask)
    normals = CONDITIONS["normals"](even)[:, :, even.mask[0, 0] > 0.5][0]
    assert torch.allclose(normals, torch.tensor([0.5, 0.5, 1.0])[:, None].expand_as(normals), atol=1e-6)


def test_depth_uses_its_whole_range_on_every_uneven_object(some):
    world, truth = some
    for one, image, mask in zip(world, CONDITIONS["depth"](truth), truth.mask, strict=True):
        inside = image[0][mask[0] > 0.5]
        assert not bool(image[:, mask[0] <= 0.5].any())
        expected = (0.65, 0.65) if one.is_flat else (0.3, 1.0)
        assert (float(inside.min()), float(inside.max())) == pytest.approx(expected, abs=1e-5)


def test_colours_say_nothing_of_the_shape():
    one = scene(1, 0)
    from dataclasses import replace

    other = replace(one, shape="ring", x=50.0, radius=30.0)
    assert torch.equal(CONDITIONS["colours"](render([one])), CONDITIONS["colours"](render([other])))


def test_scores_are_best_for_the_render_and_low_for_another_scene(some):
    world, truth = some
    own = follow_scores(truth.image, world)
    assert own["iou"] > 0.95 and own["edge_f1"] > 0.98 and own["shading"] > 0.98 and own["colour"] == 1.0
    other = follow_scores(truth.image.roll(1, dims=0), world)
    assert other["iou"] < 0.5 and other["edge_f1"] < 0.4 and abs(other["shading"]) < 0.3 and other["colour"] < 0.5


def test_two_empty_masks_agree():
    nothing = torch.zeros(1, 4, 4, dtype=torch.bool)
    assert float(iou(nothing, nothing)) == 1.0
    assert float(iou(nothing, ~nothing)) == 0.0
