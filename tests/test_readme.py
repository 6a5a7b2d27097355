"""What the README shows runs, and what it lists exists."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.readme import filled
from zeroctl_core import BASES, MODES, RULES, save_controlnet
from zeroctl_core.control.schedule import UNITS
from zeroctl_core.network.random_weights import random_controlnet

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def rows(heading: str) -> dict[str, list[str]]:
    """The table below a heading: first cell -> the others."""
    text = README.split(f"### {heading}\n")[1].split("\n#")[0]
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| `")
    ]
    return {first.strip("`"): rest for first, *rest in cells}


def test_the_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_controlnet(random_controlnet(BASES["tiny"]), tmp_path / "control.safetensors")
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102  the project's own text
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("fit: ") and printed[-1].startswith("middle 8 (2, 64, 4, 4) ")


def test_rules_are_listed_with_their_values():
    listed = rows("Weighting rules")
    assert set(listed) == set(RULES)
    for name in ("resolution", "soft", "diffusers_guess"):
        for base, cell in zip(("sd15", "sdxl"), listed[name], strict=False):
            numbers = [round(float(number), 4) for number in cell.replace(",", " ").split()]
            assert numbers == [round(value, 4) for value in RULES[name](BASES[base].connections)]


def test_modes_and_units_are_listed():
    modes = {name: (cells[0].strip("`"), cells[1]) for name, cells in rows("Modes").items()}
    assert modes == dict(MODES)
    assert set(rows("Schedule")) == set(UNITS)


def test_the_tables_say_what_the_records_say():
    assert filled(README) == README, "run python -m benchmarks.readme"
