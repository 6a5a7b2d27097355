"""Scenes of the things as pictures. The emoji are a package of npm: without it these tests are skipped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from zeroctl_core.demo import pictures
from zeroctl_core.demo.conditions import CONDITIONS, SKETCHES, training_condition
from zeroctl_core.demo.following import background_colour, colour_names
from zeroctl_core.demo.judge import CELL, NUMBERS, class_cells
from zeroctl_core.demo.rendering import Rendering, render
from zeroctl_core.demo.scene import BALL, DRAWN, NEW_GROUNDS, scenes
from zeroctl_core.demo.stages import autoencoder
from zeroctl_core.demo.stages.autoencoder import BATCH, PART, parts_of


@pytest.fixture(scope="module")
def package() -> Path:
    if not os.environ.get(pictures.VARIABLE):
        pytest.skip(
            f"the pictures of the things are not here: npm pack {pictures.PACKAGE}@{pictures.VERSION}, and name the "
            f"file with {pictures.VARIABLE}"
        )
    return pictures.emoji_path(Path())


@pytest.fixture(scope="module")
def truth(package) -> Rendering:
    return render(scenes(2, 0, 48), pictures.read_cutouts(package))


@pytest.fixture(scope="module")
def shapes() -> Rendering:
    """Scenes of drawn shapes alone, which need no package."""
    world = [one for one in scenes(3, 0, 600) if all(thing.name in DRAWN for thing in one.things)][:24]
    return render(world, {})


def test_a_missing_and_a_wrong_package_are_refused_with_a_way_out(tmp_path, monkeypatch):
    monkeypatch.delenv(pictures.VARIABLE, raising=False)
    with pytest.raises(FileNotFoundError, match=r"npm pack @lobehub/fluent-emoji-3d@1.1.0, and name the file"):
        pictures.emoji_path(tmp_path)
    with pytest.raises(ValueError, match="lacks the pictures of cat, dog"):
        pictures.read_files(tmp_path)
    for code in pictures.PICTURES.values():
        (tmp_path / f"{code}.webp").write_bytes(b"other")
    with pytest.raises(ValueError, match="have the SHA-256 .*; expected"):
        pictures.read_files(tmp_path)
    (tmp_path / pictures.FILE).write_bytes(b"no archive")
    with pytest.raises(ValueError, match="is not a package of npm"):
        pictures.read_files(tmp_path / pictures.FILE)


def test_shapes_are_drawn_in_the_colours_of_their_captions(shapes):
    assert {thing.name for one in shapes.scenes for thing in one.things} >= {BALL, "star", "ring"}
    for one, image, number in zip(shapes.scenes, shapes.image, shapes.number, strict=True):
        for n, thing in enumerate(one.things, 1):
            inside = image[:, number == n]
            if thing.name != BALL:  # a ball has no flat part
                assert colour_names(inside.median(dim=1).values[None]) == [thing.colour]
    assert colour_names(background_colour(shapes.image)) == [one.ground for one in shapes.scenes]


def test_every_thing_has_pixels_of_its_own_around_its_middle(shapes):
    for one, number in zip(shapes.scenes, shapes.number, strict=True):
        assert set(number.unique().tolist()) == set(range(len(one.things) + 1))
        for n, thing in enumerate(one.things, 1):
            down, right = torch.nonzero(number == n).float().mean(dim=0).tolist()
            assert abs(right - thing.x) < thing.size / 4 and abs(down - thing.y) < thing.size / 4


def test_cells_hold_the_class_of_the_thing_that_stands_there(shapes):
    cells = class_cells(shapes.scenes, shapes.number)
    middles = shapes.number[:, CELL // 2 :: CELL, CELL // 2 :: CELL]
    assert torch.equal(cells > 0, middles > 0)
    for one, cell in zip(shapes.scenes, cells, strict=True):
        assert set(cell.unique().tolist()) <= {0, *(NUMBERS[thing.name] for thing in one.things)}


@pytest.mark.parametrize("name", list(CONDITIONS))
def test_a_condition_is_a_picture_that_repeats_row_by_row(shapes, name):
    maps = training_condition(name, shapes)
    assert maps.shape == shapes.image.shape and 0 <= float(maps.min()) and float(maps.max()) <= 1
    assert float(maps.std()) > 0.01
    alone = training_condition(name, render(shapes.scenes[5:6], {}))
    assert torch.equal(alone[0], maps[5])
    if name in SKETCHES:
        sketched = [not torch.equal(a, b) for a, b in zip(maps, CONDITIONS[name](shapes), strict=True)]
        assert 0 < sum(sketched) < len(sketched)


def test_the_same_scenes_are_the_same_pixels(package, truth):
    again = render(truth.scenes[7:9], pictures.read_cutouts(package))
    assert torch.equal(again.image, truth.image[7:9]) and torch.equal(again.height, truth.height[7:9])


def test_grounds_are_those_of_the_captions_and_things_leave_the_border_free(package, truth):
    assert colour_names(background_colour(truth.image)) == [one.ground for one in truth.scenes]
    for rim in (truth.mask[..., 0, :], truth.mask[..., -1, :], truth.mask[..., :, 0], truth.mask[..., :, -1]):
        assert float(rim.max()) < 0.05
    others = render(scenes(2, 0, 4, "new_grounds"), pictures.read_cutouts(package))
    assert {one.ground for one in others.scenes} <= set(NEW_GROUNDS)


def test_a_soft_shadow_has_no_line(package):
    """The lines of the condition belong to things: a dilated mask covers them all."""
    truth = render(scenes(4, 0, 24), pictures.read_cutouts(package))
    near = torch.nn.functional.max_pool2d(truth.mask, 7, stride=1, padding=3) > 0.05
    lines = CONDITIONS["edges"](truth)[:, :1] > 0.5
    assert float((lines & ~near).sum() / lines.sum()) < 0.005


def test_the_autoencoder_sees_parts_with_things_that_repeat(package, monkeypatch):
    monkeypatch.setattr(autoencoder, "SCENES", 64)
    autoencoder.drawn_once.cache_clear()
    batch = parts_of(Path(), 3)
    assert batch.shape == (BATCH, 3, PART, PART)
    assert torch.equal(batch, parts_of(Path(), 3)) and not torch.equal(batch, parts_of(Path(), 4))
    assert float(batch.flatten(2).std(dim=2).mean()) > 0.1  # a ground alone has .02
    autoencoder.drawn_once.cache_clear()
