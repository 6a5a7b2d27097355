"""The README is short, its commands are those that are tested, and every node is in it."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MOST_WORDS = 1000
MOST_BYTES = 200_000  # of the picture of the graph
COMMANDS = (
    'pip install -e ".[demo]" && python -m zeroctl_core.demo',
    'pip install -e ".[test]" && python -m pytest',
    'pip install -e ".[train]" && python -m zeroctl_core.train --condition edges --output my-edges.safetensors',
)


def test_it_has_at_most_a_thousand_words():
    assert len(README.split()) <= MOST_WORDS


def test_it_has_the_commands_as_they_are_published():
    blocks = {block.strip() for block in re.findall(r"```\n(.*?)```", README, re.DOTALL)}
    assert set(COMMANDS) <= blocks


def test_every_node_is_linked_by_its_title():
    nodes = json.loads((ROOT / "tests" / "host" / "object_info.json").read_text())
    links = re.findall(r"\[([^\]]+)\]\(web/docs/(\w+)\.md\)", README)
    assert sorted(links) == sorted((node["display_name"], node_id) for node_id, node in nodes.items())


def test_every_page_of_the_documentation_is_linked():
    links = re.findall(r"\(docs/(\w+\.md)\)", README)
    assert set(links) == {page.name for page in (ROOT / "docs").glob("*.md")}


def test_the_picture_of_the_graph_is_small_enough_to_load_quickly():
    assert (ROOT / "docs" / "graph.webp").stat().st_size <= MOST_BYTES
