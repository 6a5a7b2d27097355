"""Every node has a help page, and the page names what the node has."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from zeroctl_core import MODES
from zeroctl_core.demo.model import control_files
from zeroctl_core.demo.names import THINGS
from zeroctl_core.demo.words import WORDS

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "web" / "docs"
NODES: dict[str, Any] = json.loads((ROOT / "tests" / "host" / "object_info.json").read_text())
SECTIONS = ["Inputs", "Outputs", "What is refused", "Example", "Limits"]


def test_there_is_a_page_for_every_node_and_for_nothing_else() -> None:
    assert sorted(page.stem for page in PAGES.glob("*.md")) == sorted(NODES)


@pytest.mark.parametrize("node_id", NODES)
def test_the_page_names_every_input_output_and_choice(node_id: str) -> None:
    node = NODES[node_id]
    inputs = {**node["input"].get("required", {}), **node["input"].get("optional", {})}
    parts = _parts(node_id)
    assert [name for name in inputs if f"`{name}`" not in parts["Inputs"]] == []
    assert [name for name in node["output_name"] if f"`{name}`" not in parts["Outputs"]] == []
    choices = [choice for spec in inputs.values() if spec[0] == "COMBO" for choice in spec[1]["options"]]
    bases = inputs["base"][1]["options"] if "base" in inputs else []
    assert [choice for choice in choices if choice not in bases and choice not in parts["Inputs"]] == []


@pytest.mark.parametrize("node_id", NODES)
def test_the_page_is_built_like_the_others(node_id: str) -> None:
    page = (PAGES / f"{node_id}.md").read_text()
    assert page.startswith(f"# {NODES[node_id]['display_name']}\n")
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == SECTIONS


@pytest.mark.parametrize("node_id", NODES)
def test_the_page_names_nodes_of_ours_in_bold_by_their_titles(node_id: str) -> None:
    page = (PAGES / f"{node_id}.md").read_text()
    titles = {node["display_name"] for node in NODES.values()}
    assert re.findall(r"Zeroctl\w+", page) == []
    assert {" ".join(title.split()) for title in re.findall(r"\*\*(.*?)\*\*", page, re.DOTALL)} <= titles


def test_the_page_of_the_control_gives_each_mode_with_its_rule_and_branches() -> None:
    lines = re.findall(r"^\* (\w+): (\w+), (\w+)\.", _parts("ZeroctlControl")["Inputs"], re.MULTILINE)
    assert {name: (rule, branches) for name, rule, branches in lines} == dict(MODES)


@pytest.mark.parametrize("workflow", sorted((ROOT / "example_workflows").glob("*.json")), ids=lambda path: path.stem)
def test_the_note_of_an_example_names_nodes_by_their_titles(workflow: Path) -> None:
    note = _note(workflow.stem)
    titles = {node["display_name"] for node in NODES.values()}
    assert "Zeroctl" not in note and set(re.findall(r"\*\*(.*?)\*\*", note)) <= titles


def test_the_page_of_the_demo_model_names_every_word_and_control_of_it() -> None:
    text = _parts("ZeroctlDemoModel")["Inputs"]
    assert [word for word in WORDS[2:] if not re.search(rf"\b{word}\b", text)] == []
    assert f"{len(THINGS)} things" in _note("start_here")
    controls = re.findall(r"^\| `(zeroctl/\w+)` \|", _parts("ZeroctlDemoModel")["Outputs"], re.MULTILINE)
    assert sorted(controls) == [f"zeroctl/{name}" for name in control_files()]


def _note(workflow: str) -> str:
    nodes = json.loads((ROOT / "example_workflows" / f"{workflow}.json").read_text())["nodes"]
    (note,) = (node["widgets_values"][0] for node in nodes if node["type"] == "MarkdownNote")
    return str(note)


def _parts(node_id: str) -> dict[str, str]:
    """Section title -> text; inputs and outputs of one page are never mixed up."""
    pieces = re.split(r"^## (.*)$", (PAGES / f"{node_id}.md").read_text(), flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))
