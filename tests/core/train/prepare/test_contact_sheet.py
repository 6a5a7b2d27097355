"""The sheet of a data set: a tile a name, faulty ones marked, and no more tiles than a person looks through."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from zeroctl_core.train.prepare import contact_sheet
from zeroctl_core.train.prepare import fault as kinds
from zeroctl_core.train.prepare.__main__ import main
from zeroctl_core.train.prepare.contact_sheet import tiles_of
from zeroctl_core.train.prepare.fault import Fault
from zeroctl_core.train.prepare.pairs import Found, Half, find_samples
from zeroctl_core.train.prepare.sample import FilePicture, Sample

RED, AMBER, GREY = (0xC0, 0, 0), (0xB0, 0x60, 0), (0x44, 0x44, 0x44)


def sample(path, name):
    return Sample(name=name, picture=FilePicture(path / name))


def test_tiles_are_numbered_by_name_and_those_without_a_partner_are_among_them(tmp_path):
    folder = Found(samples=[sample(tmp_path, "a"), sample(tmp_path, "c")], faults=[], halves=[Half(name="b")])
    tiles, number = tiles_of(folder, [Fault(kinds.NO_CAPTION, "c"), Fault(kinds.DOUBLED, "c", "as a")])
    assert [(tile.number, tile.name) for tile in tiles] == [(1, "a"), (2, "b"), (3, "c")] and number == 3
    assert tiles[2].kinds == (kinds.DOUBLED, kinds.NO_CAPTION) and not tiles[0].kinds


def test_of_many_the_faulty_come_first_and_keep_their_numbers(tmp_path):
    samples = [sample(tmp_path, f"{number:03}") for number in range(100)]
    faults = [Fault(kinds.NO_CAPTION, f"{number:03}") for number in range(50, 60)] + [Fault(kinds.DOUBLED, "099")]
    folder = Found(samples=samples, faults=[], halves=[])
    tiles, number = tiles_of(folder, faults, most=15)
    assert number == 100 and len(tiles) == 15 and all(tile.name == f"{tile.number - 1:03}" for tile in tiles)
    assert [tile.number for tile in tiles if tile.kinds] == [*range(51, 61), 100]
    assert tiles[0].number == 1 and [tile.number for tile in tiles] == sorted(tile.number for tile in tiles)
    few, _ = tiles_of(folder, faults, most=3)
    assert [tile.number for tile in few] == [51, 56, 100]  # at equal distances


@pytest.fixture
def folder(tmp_path):
    """A red, a green and an unreadable picture with white conditions, and the options that prepare them."""
    for name, colour in {"a": (200, 0, 0), "b": (0, 200, 0), "c": (0, 0, 200)}.items():
        for kind, fill in {"pictures": colour, "conditions": (255, 255, 255)}.items():
            (tmp_path / kind).mkdir(exist_ok=True)
            pixels = np.zeros((64, 128, 3), dtype=np.uint8)
            pixels[:, 32:96] = fill  # the middle is what is trained on
            Image.fromarray(pixels).save(tmp_path / kind / f"{name}.png")
        (tmp_path / "pictures" / f"{name}.txt").write_text("a red star")
    (tmp_path / "pictures" / "c.png").write_bytes(b"no picture")
    options = [str(tmp_path / "pictures"), "--conditions", str(tmp_path / "conditions"), "--held-out", "1"]
    return [*options, "--height", "64", "--width", "64", "--output", str(tmp_path / "out")]


def test_the_sheet_shows_what_is_trained_on_and_marks_what_is_not(folder, tmp_path, capsys):
    assert main(folder) == 2  # the sheet is written all the same: it is what a person looks at then
    assert f"{tmp_path / 'out' / 'sheet.png'} shows 3 of 3 pictures" in capsys.readouterr().out
    sheet = Image.open(tmp_path / "out" / "sheet.png")
    step = 2 * contact_sheet.SIDE + 2 * contact_sheet.MARGIN
    centre = contact_sheet.MARGIN + contact_sheet.SIDE // 2
    pictures = [sheet.getpixel((contact_sheet.MARGIN + 4 + n * step, centre)) for n in range(2)]
    assert pictures == [(200, 0, 0), (0, 200, 0)]  # to the very edge: the middle of the file
    conditions = [sheet.getpixel((centre + contact_sheet.SIDE + n * step, centre)) for n in range(3)]
    assert conditions == [(255, 255, 255)] * 3
    frames = [sheet.getpixel((contact_sheet.MARGIN - 2 + n * step, centre)) for n in range(3)]
    assert frames == [AMBER, AMBER, RED]  # conditions of one colour, and a file that is not a picture


def test_the_sheet_goes_where_it_is_asked_to_and_ends_in_png(folder, tmp_path, capsys):
    assert main([*folder, "--skip-faults", "--sheet", str(tmp_path / "mine" / "a.png")]) == 0
    assert (tmp_path / "mine" / "a.png").is_file() and not (tmp_path / "out" / "sheet.png").exists()
    with pytest.raises(SystemExit):
        main([*folder, "--sheet", str(tmp_path / "a.txt")])
    # in a frame, whose lines break where the path is as long as it happens to be
    assert "ends in .png" in " ".join(capsys.readouterr().err.replace("\N{BOX DRAWINGS LIGHT VERTICAL}", " ").split())


def test_a_name_on_the_sheet_is_a_name_to_leave_out(folder, tmp_path):
    tiles, _ = tiles_of(find_samples(tmp_path / "pictures", tmp_path / "conditions"), [])
    (tmp_path / "out.txt").write_text("\n".join(tile.name for tile in tiles if tile.name == "c"))
    assert main([*folder, "--leave-out", str(tmp_path / "out.txt")]) == 0
