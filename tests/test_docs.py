"""What the documents say is so: tables as the code and the records have them, examples that run, links that lead."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest
from rooms import FLOOR_OF_THE_CORE

from benchmarks.tables import TABLES, filled
from zeroctl_core import BASES, save_controlnet
from zeroctl_core.annotators.annotator import annotator
from zeroctl_core.annotators.params import Param
from zeroctl_core.network.random_weights import random_controlnet

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md"), *(ROOT / "web" / "docs").glob("*.md")])
RESULTS = ROOT / "benchmarks" / "results"


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", TABLES)
def test_a_table_has_what_the_code_and_the_records_have(page):
    assert filled(page) == (DOCS / page).read_text(encoding="utf-8"), "run python -m benchmarks.tables"


def test_the_example_of_the_core_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_controlnet(random_controlnet(BASES["tiny"]), tmp_path / "control.safetensors")
    lines = output_of_the_example("core.md", capsys)
    assert lines[0].startswith("fit: ") and lines[-1].startswith("middle 8 (2, 64, 4, 4) ")


def test_the_example_of_schedules_prints_what_the_page_shows(capsys):
    (expected,) = re.findall(r"```\n(timestep.*?)```", (DOCS / "schedules.md").read_text(), re.DOTALL)
    assert output_of_the_example("schedules.md", capsys) == expected.splitlines()


def output_of_the_example(page: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(code, page, "exec"), {})  # noqa: S102  the project's own text
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_to_a_file_and_a_heading(page):
    prose = re.sub(r"```.*?```|`[^`\n]*`", "code", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if "://" in link:
            continue
        path, _, heading = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not heading or heading in anchors(target), link


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_path_of_this_repository_that_a_page_names_exists(page):
    ignored = {line.rstrip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()}
    tops = {path.name for path in ROOT.iterdir()} - ignored  # what commands write is there or not
    for path in re.findall(r"`([\w.]+(?:/[\w.*-]+)*/?)`", page.read_text(encoding="utf-8")):
        if path.split("/")[0] in tops and ("/" in path or "." in path):
            assert list(ROOT.glob(path)), path


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_module_that_a_page_runs_exists(page):
    for module in re.findall(r"python -m ((?:zeroctl_core|benchmarks)[a-z_.\d]*)", page.read_text(encoding="utf-8")):
        path = ROOT / module.removesuffix(".").replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file() or path.is_dir(), module


def test_every_option_of_a_command_that_a_page_gives_is_one_of_the_command():
    commands = {}
    for page in PAGES:
        for module, rest in re.findall(r"python -m (zeroctl_core[\w.]*\w)([^\n`]*)", page.read_text(encoding="utf-8")):
            commands.setdefault(module, set()).update(re.findall(r" --([\w-]+)", rest))
    assert {"condition", "prompt"} <= commands["zeroctl_core.demo"]
    for module, options in commands.items():
        is_room = (ROOT / module.replace(".", "/")).is_dir()
        names = {field.name for field in fields(import_module(f"{module}.__main__" if is_room else module).Options)}
        assert {option.replace("-", "_") for option in options} <= names, module


def test_the_annotator_of_contributing_is_written_as_annotators_are():
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL)
    lines = [line for line in code.splitlines() if not line.startswith("from .")]

    def decorator(*values: object, **options: object) -> object:
        inspect.signature(annotator).bind(*values, **options)
        return lambda function: function  # the registry stays as it is

    names = {"annotator": decorator, "Param": Param}
    exec(compile("\n".join(lines), "CONTRIBUTING.md", "exec"), names)  # noqa: S102  the project's own text
    (param,) = names["PARAMS"]
    param.check("outline", param.default)
    assert list(inspect.signature(names["outline"]).parameters) == ["image", param.name]


def test_contributing_names_every_room_of_the_core_from_the_ground_floor_up():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## Rooms\n")[1].split("\n## ")[0]
    rooms = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert sorted(rooms) == sorted(FLOOR_OF_THE_CORE)
    floors = [FLOOR_OF_THE_CORE[room] for room in rooms]
    assert floors == sorted(floors)


def test_every_message_of_the_page_of_errors_is_one_of_the_code():
    texts = [
        text
        for folder in ("zeroctl_core", "nodes")
        for file in (ROOT / folder).rglob("*.py")
        for text in texts_of(file)
    ]
    cells = re.findall(r"^\| (`.*?) \|", (DOCS / "errors.md").read_text(), re.MULTILINE)
    assert len(cells) > 10
    for message in re.findall(r"`([^`]+)`", " ".join(cells)):
        for part in re.split(r"\.\.\.|\bn\b|\d+", message):
            assert any(part.strip(" ,:") in text for text in texts), message


def texts_of(file: Path) -> list[str]:
    """Every text of a file, `...` where an f-string has a value."""
    return [
        "".join(str(part.value) if isinstance(part, ast.Constant) else "..." for part in node.values)
        if isinstance(node, ast.JoinedStr)
        else node.value
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))
    ]


def test_every_record_of_a_benchmark_is_named_in_a_document_or_by_a_script():
    sources = [*PAGES, *(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "zeroctl_core").rglob("*.py")]
    text = "\n".join(file.read_text(encoding="utf-8") for file in sources)
    for record in RESULTS.rglob("*.*"):
        assert record.name in text or f'"{record.stem}"' in text, named(record)
