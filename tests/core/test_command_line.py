"""All commands of the core read their options in one way, and refuse in one way."""

from __future__ import annotations

import re
import sys
from dataclasses import fields

import pytest

from zeroctl_core import selfcheck
from zeroctl_core.demo import __main__ as demo
from zeroctl_core.demo import build
from zeroctl_core.train import __main__ as train

COMMANDS = {"demo": demo, "demo.build": build, "selfcheck": selfcheck, "train": train}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_every_option_with_its_words_and_its_default(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        COMMANDS[name].main(["--help"])
    text = " ".join(capsys.readouterr().out.replace("\N{BOX DRAWINGS LIGHT VERTICAL}", " ").split())
    assert stopped.value.code == 0 and f"python -m zeroctl_core.{name} " in text
    options = fields(COMMANDS[name].Options)
    names = [option.name.replace("_", "-") for option in options]
    assert not [name for name in names if not re.search(rf" --{name}[ ,]", text)]
    assert text.count("(default: ") == len(options)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_missing_tyro_is_named_with_what_to_install(name, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tyro", None)
    with pytest.raises(SystemExit) as stopped:
        COMMANDS[name].main([])
    assert stopped.value.code == 2
    assert capsys.readouterr().err == 'the command line needs tyro: pip install -e ".[demo]"\n'


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("demo.build", ["--stages", "edgse"], "there is no stage 'edgse'; there are: autoencoder"),
        ("demo.build", ["--every", "0"], "every is 0; expected 1 or more"),
        ("demo.build", ["--work", "FILE"], "FILE/checkpoint cannot be written"),
        ("demo.build", ["--log", "FOLDER", "--work", "FOLDER"], "FOLDER is a folder"),
        ("demo.build", ["--log", "FILE/log.json", "--work", "FOLDER"], "FILE/log.json cannot be written"),
        ("demo.build", ["--log", "FILE", "--check", "--work", "FOLDER"], "FILE is not the log of a build"),
        ("selfcheck", ["--base", "sd3"], "base is sd3; expected one of"),
        ("selfcheck", ["--size", "100"], "size is 100; expected a multiple of 64"),
        ("selfcheck", ["--seed", "99999999999999999999"], "seed is 99999999999999999999; expected 0 to"),
        ("selfcheck", ["--out", "FILE"], "FILE/zeroctl-selfcheck-edges.png cannot be written"),
        ("train", ["--output", "FOLDER", "--work", "FOLDER"], "FOLDER is a folder"),
        ("train", ["--output", "FILE/x.safetensors", "--work", "FOLDER"], "FILE/x.safetensors cannot be written"),
        ("train", ["--work", "FILE"], "cannot be written"),
        ("train", ["--source", "nowhere"], "there is no module 'nowhere'"),
    ],
)
def test_what_cannot_be_written_or_done_is_refused_with_status_2(tmp_path, capsys, name, options, message):
    folder, file = tmp_path / "folder.safetensors", tmp_path / "file"
    folder.mkdir()
    file.write_text("{")

    def placed(text: str) -> str:
        return text.replace("FOLDER", str(folder)).replace("FILE", str(file))

    try:
        status = COMMANDS[name].main([placed(option) for option in options])
    except SystemExit as stopped:  # by tyro, for what the options themselves refuse
        status = stopped.code
    output = capsys.readouterr()
    assert status == 2 and placed(message) in " ".join(
        (output.out + output.err).replace("\N{BOX DRAWINGS LIGHT VERTICAL}", " ").split()
    )
