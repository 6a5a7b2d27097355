"""A folder that holds every fault: each is counted, named, and refused, skipped or told as it should be."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from zeroctl_core.train.prepare import fault as kinds
from zeroctl_core.train.prepare.__main__ import main
from zeroctl_core.train.prepare.cache import read_index

SIZE = 64
CAPTION = "a red star on a blue background"


def noise(seed, height=SIZE, width=SIZE):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def lines(seed, height=SIZE, width=SIZE):
    """White lines on black, another cross for each seed."""
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[seed % height], pixels[:, seed % width] = 255, 255
    return pixels


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def add(root, name, *, picture=None, condition=None, caption=CAPTION, seed):
    save(root / "pictures" / f"{name}.png", noise(seed) if picture is None else picture)
    save(root / "conditions" / f"{name}.png", lines(seed) if condition is None else condition)
    (root / "pictures" / f"{name}.txt").write_text(caption)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("faulty")
    pictures, conditions = root / "pictures", root / "conditions"
    for number in range(4):
        add(root, f"good{number}", seed=number)
    for number, name in enumerate(["alone", "broken", "broken_map", "twice", "sub/again", "bent"], start=10):
        add(root, name, seed=number)
    (conditions / "alone.png").unlink()
    save(conditions / "orphan.png", lines(30))
    (pictures / "broken.png").write_bytes((pictures / "broken.png").read_bytes()[:200])
    (conditions / "broken_map.png").write_text("not a picture")
    save(pictures / "twice.bmp", noise(31))
    save(pictures / "sub/again.png", noise(3), compress_level=1)  # as good3, in another file
    save(conditions / "bent.png", lines(15, SIZE, 2 * SIZE))
    add(root, "thread_map", condition=lines(26, 1, 2000), seed=26)
    add(root, "thread", picture=noise(16, 1, 2000), condition=lines(16, 1, 2000), seed=16)
    add(root, "small", picture=noise(17, 40, 40), seed=17)
    add(root, "small_map", condition=lines(18, 32, 32), seed=18)
    add(root, "black", condition=lines(19) * 0, seed=19)
    add(root, "inverted", condition=255 - lines(20), seed=20)
    add(root, "colours", condition=noise(21) // 2, seed=21)
    add(root, "silent", caption=" \n", seed=22)
    add(root, "unknown", caption="a red yacht", seed=23)
    add(root, "long", caption="red " * 10 + "star", seed=24)
    add(root, "latin", seed=25)
    (pictures / "latin.txt").write_bytes("a red café".encode("latin-1"))
    (pictures / "readme.txt").write_text("about these pictures")
    return root


FAULTS = {
    kinds.NO_CONDITION: ["alone"],
    kinds.NO_PICTURE: ["orphan"],
    kinds.SAME_NAME: ["twice (twice.bmp is taken, twice.png is not)"],
    kinds.UNREADABLE_PICTURE: ["broken ("],
    kinds.UNREADABLE_CONDITION: ["broken_map ("],
    kinds.DOUBLED: ["sub/again (as good3)"],
    kinds.PROPORTIONS: ["bent (128x64, the picture 64x64)", "thread_map (nothing of an image of 2000x1"],
    kinds.TOO_NARROW: ["thread (nothing of an image of 2000x1"],
    kinds.SMALL_PICTURE: ["small (40x40)"],
    kinds.SMALL_CONDITION: ["small_map (32x32)"],
    kinds.ONE_COLOUR: ["black"],
    kinds.INVERTED: ["inverted (97% white)"],
    kinds.COLOURED: ["colours"],
    kinds.NO_CAPTION: ["silent"],
    kinds.CAPTION_ALONE: ["readme"],
    kinds.NOT_UTF8: ["latin"],
    kinds.UNKNOWN_WORDS: ["latin (caf)", "unknown (yacht)"],
    kinds.CUT: ["long (before 'star')"],
}
GREY_ALONE = {kinds.GREY, kinds.NOT_THERE}  # have tests of their own


def prepare(root, output, *more):
    options = [str(root / "pictures"), "--conditions", str(root / "conditions"), "--output", str(output)]
    return main([*options, "--height", str(SIZE), "--width", str(SIZE), "--held-out", "1", *more])


def test_every_fault_is_counted_and_named_before_anything_is_encoded(folder, tmp_path, capsys):
    assert prepare(folder, tmp_path / "out") == 2
    out, err = capsys.readouterr()
    text = out.splitlines()
    assert set(FAULTS) | GREY_ALONE == {v for k, v in vars(kinds).items() if k.isupper() and isinstance(v, str)}
    for kind, names in FAULTS.items():
        use = "cannot be used" if kind in kinds.UNUSABLE else "stops nothing"
        (line,) = [line for line in text if f" x {kind} (" in line]
        assert line.startswith(f"{len(names)} x {kind} ({use}): ")
        assert all(name in line for name in names)
    assert "--skip-faults" in err and not list((tmp_path / "out").glob("*.safetensors"))


def test_what_cannot_be_used_is_skipped_where_that_is_asked_for_and_all_else_is_used(folder, tmp_path):
    assert prepare(folder, tmp_path / "out", "--skip-faults") == 0
    names = {"small", "small_map", "black", "inverted", "colours", "silent", "unknown", "long", "latin", "twice"}
    assert set(read_index(tmp_path / "out").names) == names | {f"good{number}" for number in range(4)}


def test_names_that_are_struck_out_are_left_out_with_their_faults(folder, tmp_path, capsys):
    struck = "alone broken broken_map sub/again bent thread thread_map orphan twice good0 nowhere".split()
    (tmp_path / "struck.txt").write_text("\r\n".join(["\ufeff" + struck[0], "", *struck[1:], " good1 "]), "utf-8")
    assert prepare(folder, tmp_path / "out", "--leave-out", str(tmp_path / "struck.txt")) == 0
    out = capsys.readouterr().out
    assert f"1 x {kinds.NOT_THERE} (stops nothing): nowhere" in out and "cannot be used" not in out
    names = read_index(tmp_path / "out").names
    assert not {*struck, "good1"} & set(names) and {"good2", "good3", "small"} <= set(names)


def test_a_grey_condition_among_coloured_ones_is_told(tmp_path, capsys):
    for number in range(3):
        add(tmp_path, f"pose{number}", condition=noise(40 + number), seed=number)
    add(tmp_path, "grey", condition=lines(9), seed=9)
    assert prepare(tmp_path, tmp_path / "out") == 0
    assert f"1 x {kinds.GREY} (stops nothing): grey\n" in capsys.readouterr().out


def test_lines_that_an_annotator_draws_are_looked_at_as_drawn(tmp_path, capsys):
    for number in range(3):
        save(tmp_path / "pictures" / f"{number}.png", noise(number))
    save(tmp_path / "pictures" / "plain.png", np.full((SIZE, SIZE, 3), 90, dtype=np.uint8))
    options = [str(tmp_path / "pictures"), "--output", str(tmp_path / "out"), "--annotator", "canny"]
    assert main([*options, "--height", "64", "--width", "64", "--held-out", "1"]) == 0
    out = capsys.readouterr().out
    assert f"1 x {kinds.ONE_COLOUR} (stops nothing): plain\n" in out and f"4 x {kinds.NO_CAPTION} (" in out


@pytest.mark.parametrize("colour", ["nocolour", "#12"])
def test_a_background_that_does_not_exist_is_refused_before_pictures_are_read(tmp_path, capsys, colour):
    with pytest.raises(SystemExit):
        prepare(tmp_path, tmp_path / "out", "--background", colour)
    assert "background is" in capsys.readouterr().err
