"""What people give that cannot be trained on: each is told in words, and none starts a preparation or a training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from zeroctl_core.demo.source import World
from zeroctl_core.train import run as running
from zeroctl_core.train.__main__ import main as train
from zeroctl_core.train.prepare import __main__ as preparing
from zeroctl_core.train.prepare import cache
from zeroctl_core.train.prepare.cache import INDEX, read_index

N, HELD_OUT = 6, 2


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(N):
        Image.new("RGB", (128, 128), (40 * number, 90, 200)).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text("a red circle")
    return folder


@pytest.fixture(scope="module")
def prepared(pictures, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "data"
    line = [str(pictures), "--output", str(folder), "--annotator", "canny", "--held-out", str(HELD_OUT)]
    assert preparing.main(line) == 0
    return folder


@pytest.fixture
def data(prepared, tmp_path) -> Path:
    """A copy that may be damaged."""
    folder = tmp_path / "data"
    folder.mkdir()
    for path in prepared.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def messages_of(main, words: list[str], capsys) -> str:
    """What a command that must be refused says, in one line."""
    try:
        status = main(words)
    except SystemExit as stopped:  # by tyro, for what the options themselves refuse
        status = stopped.code
    output = capsys.readouterr()
    assert status == 2 and "Traceback" not in output.err
    return " ".join((output.out + output.err).replace("\N{BOX DRAWINGS LIGHT VERTICAL}", " ").split())


def change(path: Path, old: bytes, new: bytes) -> None:
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))


def first(folder: Path, table: str) -> Path:
    return next(folder.glob(f"{table}-*"))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def for_other_encoders(folder: Path) -> None:
    index = read_index(folder)
    type(index)(**{**vars(index), "encoders": ("other", "encoders")}).write(folder)


DAMAGES = {
    "a folder that was not prepared": (lambda f: (f / INDEX).unlink(), "holds no prepared data (index.json is missing"),
    "half an index": (lambda f: (f / INDEX).write_text('{"names": ["a'), "index.json is damaged"),
    "an index of another kind": (lambda f: (f / INDEX).write_text("[1, 2]"), "index.json is damaged"),
    "an index that was edited": (
        lambda f: change(f / INDEX, b'"held_out": 2', b'"held_out": 1'),
        "index.json is damaged (it does not hold what was written)",
    ),
    "an index of later versions": (
        lambda f: (f / INDEX).write_text(json.dumps({**json.loads((f / INDEX).read_text()), "more": 1})),
        "index.json is damaged",
    ),
    "one bit of the latents": (lambda f: flip(first(f, "latents")), "is damaged (it does not hold what was written)"),
    "half the conditions": (lambda f: first(f, "conditions").write_bytes(b"half"), "is damaged"),
    "no prompts": (lambda f: first(f, "prompts").unlink(), "is damaged (["),
    "data of another base": (for_other_encoders, "was prepared with another autoencoder or text encoder"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_damaged_data_is_named_before_a_step_is_taken(data, tmp_path, capsys, monkeypatch, damage, message):
    monkeypatch.setattr(running, "fit", lambda *_, **__: pytest.fail("the training starts"))
    damage(data)
    words = ["--data", str(data), "--work", str(tmp_path / "work"), "--batch-size", "2"]
    assert message in messages_of(train, words, capsys)


TRAIN = {
    "a folder that is not there": (["--data", "/nowhere/at/all"], "/nowhere/at/all holds no prepared data"),
    "another condition than that of the data": (["--condition", "depth"], "condition is 'depth', and "),
    "a seed of data that is not drawn": (["--data-seed", "4"], "it has no meaning with data"),
    "a run in another folder": (["--run", "a/b"], "run is 'a/b'; expected a name without folders"),
    "the folder of all runs": (["--run", "."], "expected a name without folders"),
    "a run above the folder": (["--run", ".."], "expected a name without folders"),
    "a batch larger than the data": (["--batch-size", "5"], "the batch size is 5, the number of samples 4"),
    "more samples than there are": (["--n-scenes", "5"], "5 samples are asked for; "),
    "a module that is not a source": (["--source", "zeroctl_core.train.loop"], "has no function source"),
    "a device that is not there": (["--device", "cuda:99"], "the device 'cuda:99' cannot be used"),
    "an output of another format": (["--output", "a.pt"], "expected a name that ends in .safetensors"),
    "an average that never moves": (["--ema-decay", "1"], "ema_decay is 1"),
    "an unknown form": (["--form", "other"], "other"),
    "weights that are not there": (["--weights", "/nowhere"], "is missing"),
}


@pytest.mark.parametrize(("words", "message"), TRAIN.values(), ids=TRAIN)
def test_bad_options_of_a_training_are_named(prepared, tmp_path, capsys, monkeypatch, words, message):
    monkeypatch.setattr(running, "fit", lambda *_, **__: pytest.fail("the training starts"))
    line = ["--data", str(prepared), "--work", str(tmp_path / "work"), "--batch-size", "2", *words]
    assert message in messages_of(train, line, capsys)


PREPARE = {
    "part 0": (["--part", "0/4"], "part is '0/4'; expected number/count"),
    "a part above the count": (["--part", "5/4"], "part is '5/4'"),
    "a part in words": (["--part", "half"], "part is 'half'"),
    "neither conditions nor an annotator": (["--annotator", ""], "give either conditions"),
    "both": (["--conditions", "/nowhere"], "give either conditions"),
    "an unknown annotator": (["--annotator", "cany"], "annotator is 'cany'; expected one of "),
    "a setting of another annotator": (["--settings", "loww=5"], "loww"),
    "a width between cells": (["--width", "130"], "width is 130; expected a multiple of 8"),
    "no height": (["--height", "0"], "height is 0"),
    "fewer than none held out": (["--held-out", "-1"], "held_out is -1"),
    "all held out": (["--held-out", str(N)], "held"),
    "an unknown colour": (["--background", "blurple"], "blurple"),
}


@pytest.mark.parametrize(("words", "message"), PREPARE.values(), ids=PREPARE)
def test_bad_options_of_a_preparation_are_named(pictures, tmp_path, capsys, monkeypatch, words, message):
    monkeypatch.setattr(World, "encode", lambda *_: pytest.fail("pictures are encoded"))
    line = [str(pictures), "--output", str(tmp_path / "out"), "--annotator", "canny", "--held-out", "2", *words]
    assert message in messages_of(preparing.main, line, capsys)
    assert not list(tmp_path.rglob(INDEX))


@pytest.mark.parametrize("make", [lambda f: None, lambda f: f.mkdir(), lambda f: f.write_text("a")])
def test_a_folder_without_pictures_is_named(tmp_path, capsys, make):
    make(folder := tmp_path / "mine")
    line = [str(folder), "--output", str(tmp_path / "out"), "--annotator", "canny"]
    assert f"{folder} " in messages_of(preparing.main, line, capsys) and not list(tmp_path.rglob(INDEX))


def test_of_much_data_it_is_only_looked_for_whether_it_is_there(data, monkeypatch):
    monkeypatch.setattr(cache, "MOST_CHECKED", 1000)
    flip(first(data, "latents"))
    cache.check_shards(data, read_index(data))
    first(data, "conditions").unlink()
    with pytest.raises(cache.DamagedShard, match="conditions-.* is damaged .*run the preparation again"):
        cache.check_shards(data, read_index(data))
