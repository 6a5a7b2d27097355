"""The templates on a laptop: text is drawn, the result is large, no node lies on another, before a run and after."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from canvas import Canvas
from examples import ONE, START, TILES, TWO

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "example_workflows"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.json"))
SIMPLE = {START, ONE, TILES}
RUN = (START, ONE, TWO)  # of the others the nodes are the same, and files are missing
LAPTOP = {"width": 1440, "height": 900}
READABLE = 0.58  # the classic canvas draws no text below .571
RESULT = 300  # pixels of the canvas

BOXES = """() => app.graph.nodes.map(node => {
    const { scale, offset } = app.canvas.ds;
    const here = document.querySelector(`[data-node-id="${node.id}"]`)?.getBoundingClientRect();
    if (here?.width) {
        const at = app.canvas.canvas.getBoundingClientRect();
        const [x, y] = [(here.left - at.left) / scale - offset[0], (here.top - at.top) / scale - offset[1]];
        return [`${node.id} ${node.type}`, x, y, here.width / scale, here.height / scale];
    }
    return [`${node.id} ${node.type}`, node.pos[0], node.pos[1] - 30, node.size[0], node.size[1] + 30];
})"""


@pytest.fixture()
def laptop(frontend: Any) -> Iterator[Any]:
    before = frontend.page.viewport_size
    frontend.page.set_viewport_size(LAPTOP)
    frontend.page.wait_for_timeout(300)
    yield frontend
    frontend.page.set_viewport_size(before)
    frontend.close_dialogs()


def _open(frontend: Any, name: str) -> None:
    frontend.open(json.loads((EXAMPLES / f"{name}.json").read_text()))


def _overlaps(frontend: Any) -> list[tuple[str, str]]:
    boxes = frontend.page.evaluate(BOXES)
    return [
        (one[0], other[0])
        for one, other in combinations(boxes, 2)
        if all(one[k] < other[k] + other[k + 2] - 1 and other[k] < one[k] + one[k + 2] - 1 for k in (1, 2))
    ]


@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_read_on_a_laptop(laptop: Any, name: str) -> None:
    _open(laptop, name)
    laptop.page.wait_for_timeout(800)  # the view moves there
    laptop.picture(f"laptop-{name}")
    if name in SIMPLE:
        assert laptop.page.evaluate("() => app.canvas.ds.scale") >= READABLE
    sizes = laptop.page.evaluate("() => app.graph.nodes.filter(n => n.type === 'SaveImage').map(n => [...n.size])")
    assert sizes and all(width >= RESULT and height >= RESULT for width, height in sizes)
    assert _overlaps(laptop) == []


@pytest.mark.parametrize("name", RUN)
def test_nothing_lies_on_another_after_a_run(laptop: Any, name: str) -> None:
    _open(laptop, name)
    laptop.page.evaluate(
        """() => {
        for (const node of app.graph.nodes)
            for (const widget of node.widgets ?? []) {
                if (widget.name === 'control_after_generate') widget.value = 'fixed';
                if (node.type === 'KSampler' && widget.name === 'steps') widget.value = 1;
                if (node.type === 'EmptyLatentImage' && widget.name !== 'batch_size')
                    widget.value = Math.min(widget.value, 256);
            }
    }"""
    )
    Canvas(laptop).run()
    assert laptop.page.evaluate("() => window.zeroctlEnd") == "execution_success"
    laptop.page.wait_for_timeout(1500)  # previews arrive, nodes grow
    laptop.picture(f"run-{name}")
    assert _overlaps(laptop) == []
