"""The sheet of pictures: letters that can be read where it is shown."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from zeroctl_core.annotators.pictures.sheet import LABEL, MARGIN, PAGE, Tile, write_sheet

DARK = 160  # of 255: letters on white


def sheet(path, n_tiles, label, scale=2):
    tiles = [Tile(torch.full((3, 128, 128), 0.9), label) for _ in range(n_tiles)]
    with Image.open(write_sheet(path, [("x", tiles)], scale=scale)) as picture:
        return np.asarray(picture.convert("L"))


@pytest.mark.parametrize("n_tiles", [1, 4, 6, 9])
def test_a_capital_is_legible_as_wide_as_a_page(tmp_path, n_tiles):
    pixels = sheet(tmp_path / "s.png", n_tiles, "H")
    rows = np.flatnonzero((pixels < DARK).any(axis=1))
    label = rows[rows > rows[0] + (np.diff(rows) > 1).argmax()]  # below the heading
    height = (label[-1] + 1 - label[0]) * min(1, PAGE / pixels.shape[1])
    assert height >= 0.62 * LABEL  # a capital is about .7 of a letter's height


@pytest.mark.parametrize("n_tiles", [2, 6])
def test_a_long_label_is_broken_and_stays_above_its_picture(tmp_path, n_tiles):
    label = "the conditional branch alone with weights as printed in the paper"
    pixels = sheet(tmp_path / "s.png", n_tiles, label)
    side = 256 + MARGIN
    columns = (pixels[40:-264] < DARK).any(axis=0)
    for n in range(1, n_tiles):
        assert not columns[n * side : n * side + MARGIN - 1].any(), "a label runs into its neighbour"
    assert (pixels[-MARGIN - 256 : -MARGIN, MARGIN : MARGIN + 256] > DARK).all(), "letters lie on a picture"
    assert pixels.shape[0] > sheet(tmp_path / "t.png", n_tiles, "short").shape[0]
