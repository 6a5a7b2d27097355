"""Shares of a preparation by the command: each machine looks at its own pictures, and the join at none again."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from zeroctl_core.train.prepare.__main__ import main
from zeroctl_core.train.prepare.cache import read_index
from zeroctl_core.train.prepare.sample import FilePicture
from zeroctl_core.train.prepare.table import ROWS

N, SIZE = ROWS + 20, 16


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(N):
        pixels = np.random.default_rng(number).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
        (folder / f"{number:03}.txt").write_text("a red star")
    return folder


@pytest.fixture
def looked_at(monkeypatch):
    """Names of the pictures that were decoded."""
    names: list[str] = []
    read = FilePicture.read
    monkeypatch.setattr(FilePicture, "read", lambda self: (names.append(self.path.stem), read(self))[1])
    return names


def prepare(pictures, output, *more):
    options = [str(pictures), "--output", str(output), "--annotator", "canny", "--held-out", "2"]
    return main([*options, "--height", str(SIZE), "--width", str(SIZE), *more])


def test_a_share_reads_its_own_pictures_and_the_join_none_of_them_for_its_check(pictures, tmp_path, looked_at, capsys):
    (pictures / "007.png").write_bytes(b"not a picture")
    joined = tmp_path / "joined"
    readings = []
    for part in ("1/2", "2/2"):
        looked_at.clear()
        assert prepare(pictures, joined, "--part", part, "--skip-faults") == 0
        readings.append(set(looked_at))
    assert list(map(len, readings)) == [ROWS, N - ROWS] and not readings[0] & readings[1]
    assert sum("1 x unreadable picture" in text for text in capsys.readouterr().out.split("part ")) == 1
    assert {"sheet-1-of-2.png", "sheet-2-of-2.png", "looks-1-of-2.json"} <= {path.name for path in joined.iterdir()}

    looked_at.clear()
    (tmp_path / "names.txt").write_text("011\n")  # what comes behind it moves to the shard before
    assert prepare(pictures, joined, "--skip-faults", "--leave-out", str(tmp_path / "names.txt")) == 0
    assert looked_at.count("000") == 1  # by the sheet
    assert len(read_index(joined).names) == N - 2
    assert [path.name for path in joined.glob("looks*")] == ["looks.json"]


def test_a_share_that_has_nothing_to_do_ends_well(pictures, tmp_path):
    assert prepare(pictures, tmp_path / "out", "--part", "3/3") == 0
    assert not list((tmp_path / "out").glob("latents*"))
