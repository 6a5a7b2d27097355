"""The words and shapes of CONTRIBUTING, held: `python tests/words.py` names every place."""

from __future__ import annotations

from collections import Counter

import pytest
from words import ROOT, faults, faults_of_code, faults_of_prose


def test_code_and_pages_keep_to_the_words_of_contributing():
    assert not [f"{name}:{line}: {kind}: {text}" for kind, name, line, text in faults()]


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("found = 1", "participle as a name"),
        ("def f(kept): ...", "participle as a name"),
        ("for a, (said, b) in c: ...", "participle as a name"),
        ("# this is no file", "is no"),
        ('raise ValueError("these are no weights of a model")', "is no"),
        ('"""It answers the weights."""', "answers"),
        ('"""The color of an object."""', "spelling"),
        ("# the center of a cell", "spelling"),
        ('"""What it does.\n\n    Raises:\n        ValueError: always.\n    """', "Raises block"),
        ("f(1, 2, 3, 4, 5, 6)", "call by position"),
        (
            "@dataclass(frozen=True)\nclass A:\n" + "".join(f"    a{n}: int\n" for n in range(6)),
            "dataclass by position",
        ),
    ],
)
def test_a_fault_is_found_once(tmp_path, monkeypatch, source, kind):
    monkeypatch.setattr("words.ROOT", tmp_path)
    file = tmp_path / "file.py"
    file.write_text(source, encoding="utf-8")
    assert Counter(fault[0] for fault in faults_of_code(file)) == {kind: 1}


@pytest.mark.parametrize(
    "source",
    [
        "there = 1  # there is no such file, and it is no longer here",
        "match.found = 1",
        "torch.float(1, dtype=color)",
        '"""`color` is the name of an annotator, torch.nn.center too; the colour is grey."""',
        "max(1, 2, 3, 4, 5, 6)",
        "@dataclass(kw_only=True)\nclass A:\n" + "".join(f"    a{n}: int\n" for n in range(9)),
    ],
)
def test_what_is_right_is_let_pass(tmp_path, monkeypatch, source):
    monkeypatch.setattr("words.ROOT", tmp_path)
    file = tmp_path / "file.py"
    file.write_text(source, encoding="utf-8")
    assert not list(faults_of_code(file))


def test_ids_of_nodes_are_not_for_users(tmp_path, monkeypatch):
    monkeypatch.setattr("words.ROOT", tmp_path)
    (tmp_path / "nodes").mkdir()
    code, page = tmp_path / "nodes" / "a.py", tmp_path / "README.md"
    code.write_text(
        '"""ZeroctlTile in words."""\nID = "ZeroctlTile"\nTEXT = "use ZeroctlTile for it"\n', encoding="utf-8"
    )
    page.write_text("[Tile](web/docs/ZeroctlTile.md) and ZeroctlCanny", encoding="utf-8")
    assert [(fault[0], fault[2]) for fault in faults_of_code(code)] == [("id of a node", 3)]
    assert [fault[3] for fault in faults_of_prose(page)] == ["ZeroctlCanny"]


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 1000
