"""Drawings of dark lines on white are told from everything else, and from photographs above all."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.canvas.black_on_white import is_black_on_white

PICTURES = (
    "astronaut brick camera cell checkerboard chelsea clock coffee coins colorwheel grass gravel hubble_deep_field "
    "immunohistochemistry logo moon page retina rocket text"
).split()


def picture(name: str) -> Tensor:
    """One of scikit-image's, [3, H, W] in 0..1."""
    pixels = np.asarray(getattr(pytest.importorskip("skimage.data"), name)())
    pixels = np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels[..., :3]
    return torch.from_numpy(pixels.copy()).movedim(-1, 0).float() / 255


@pytest.mark.parametrize("annotator", ["canny", "lines", "lineart"])
@pytest.mark.parametrize("name", ["astronaut", "coffee", "camera"])
def test_lines_are_told_by_their_polarity(annotator: str, name: str) -> None:
    lines = ANNOTATORS[annotator](picture(name)[None])[0]
    assert is_black_on_white(1 - lines)
    assert not is_black_on_white(lines)


@pytest.mark.parametrize("name", PICTURES)
def test_no_photograph_is_meant_nor_its_negative(name: str) -> None:
    assert not is_black_on_white(picture(name))
    assert not is_black_on_white(1 - picture(name))


def drawn(lines: list[tuple[slice, slice]], colour: float | list[float] = 0.0) -> Tensor:
    image = torch.ones(3, 96, 160)
    for rows, columns in lines:
        image[:, rows, columns] = torch.tensor(colour).reshape(-1, 1, 1)
    return image


CROSS = [(slice(40, 43), slice(None)), (slice(None), slice(70, 73))]


def test_what_is_near_a_drawing_is_none() -> None:
    assert is_black_on_white(drawn(CROSS))
    assert is_black_on_white(drawn(CROSS) - 0.015)  # an export of 98 %
    assert not is_black_on_white(drawn([(slice(20, 70), slice(30, 120))]))  # an object on a white ground
    assert not is_black_on_white(drawn(CROSS, [1.0, 0.0, 0.0]))  # a diagram in red
    assert not is_black_on_white(drawn(CROSS, 0.6))  # faint pencil
    assert not is_black_on_white(drawn([]))
    assert not is_black_on_white(torch.ones(3, 1, 1))
