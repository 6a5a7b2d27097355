"""Every benchmark is a module that is run from the root of the repository and says what it can do."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NO_OPTIONS = {"benchmarks.tables"}
COMMANDS = sorted(
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
    for file in (ROOT / "benchmarks").rglob("*.py")
    if 'if __name__ == "__main__":' in file.read_text(encoding="utf-8")
)


def module_of(command: str):
    is_package = (ROOT / command.replace(".", "/") / "__main__.py").is_file()
    return importlib.import_module(f"{command}.__main__" if is_package else command)


@pytest.mark.parametrize("command", [command for command in COMMANDS if command not in NO_OPTIONS])
def test_a_benchmark_prints_its_options(command, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [command, "--help"])
    with pytest.raises(SystemExit) as end:
        module_of(command).main()
    out = capsys.readouterr().out
    assert end.value.code == 0 and out.startswith(f"usage: python -m {command} "), "prog is the command that works"


def test_the_names_of_options_that_people_have_in_their_scripts_stay(monkeypatch, capsys):
    options = {
        "injection": "pairs size nets only preset device steps threads out",
        "loading": "n out folder",
        "startup": "pairs loads out",
        "annotators": "rounds out",
        "annotator_pictures": "out",
        "differences": "only out",
        "mutants": "n seed out",
        "sweep": "only name steps out",
        "data_path": "pictures number sheet threads out",
        "proof.p4_ablation": "seeds out steps n",
        "drawings": "seeds control weights out",
    }
    for command, names in options.items():
        monkeypatch.setattr(sys, "argv", [command, "--help"])
        with pytest.raises(SystemExit):
            module_of(f"benchmarks.{command}").main()
        out = capsys.readouterr().out
        assert all(f"--{name} " in out for name in names.split()), command
