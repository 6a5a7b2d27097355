"""The scripts for the browser: the host imports every .js below web/, so each must leave page and others alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

WEB = Path(__file__).resolve().parents[1] / "web"
SCRIPTS = sorted(WEB.rglob("*.js"))
PARTS = WEB / "js" / "parts.js"
FORBIDDEN = {
    "a global": r"\b(window|globalThis)\.\w+\s*=[^=]",
    "a patch of a prototype": r"\.prototype\b",
    "a listener on the whole page": r"\bdocument\.(addEventListener|on\w+\s*=)",
    "a patch of the app or its canvas": r"\b(app|LiteGraph|LGraph\w*)(\.\w+)+\s*=[^=>]",
    "evaluated text": r"\beval\(|new Function\(",
}


def test_there_are_scripts() -> None:
    assert SCRIPTS


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_leaves_page_and_others_alone(script: Path) -> None:
    assert [what for what, pattern in FORBIDDEN.items() if re.search(pattern, script.read_text())] == []


def test_parts_of_several_scripts_do_nothing_when_they_are_imported() -> None:
    lines = [line for line in PARTS.read_text().splitlines() if line and not line.startswith((" ", "//", "/**", "}"))]
    assert [line for line in lines if not line.startswith(("import ", "export function "))] == []
    names = re.findall(r"^export function (\w+)", PARTS.read_text(), re.MULTILINE)
    again = [name for name in names for script in SCRIPTS if f"function {name}(" in script.read_text()]
    assert again == names, "a part of its own in another script"


@pytest.mark.parametrize("script", [path for path in SCRIPTS if path != PARTS], ids=lambda path: path.name)
def test_a_script_registers_under_our_name(script: Path) -> None:
    text = script.read_text()
    names = re.findall(r'registerExtension\(\{\s*name:\s*(\w+|"[^"]+")', text)
    assert len(names) == 1
    name = names[0] if names[0].startswith('"') else re.findall(rf"const {names[0]} = (\"[^\"]+\")", text)[0]
    assert name.startswith('"zeroctl.')
