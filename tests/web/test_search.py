"""The node search of the real frontend: what people type who look for a ControlNet finds a node of ours.

Search aliases came with ComfyUI 0.11; older hosts search titles alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

FIRST_ROWS = 8
FIRST_OF_WIRE = 3
QUERIES = [
    "controlnet",
    "control net",
    "preprocessor",
    "canny",
    "canny preprocessor",
    "openpose",
    "depth",
    "depth anything",
    "mlsd",
    "normal map",
    "lineart",
    "tile",
    "guess mode",
    "my prompt is more important",
    "controlnet is more important",
    "multi controlnet",
    "block weights",
    "soft weights",
    "pixel perfect",
    "aux",
]
WIRES = {"MODEL": "CheckpointLoaderSimple", "IMAGE": "LoadImage"}
ROW, SEARCH = "[data-testid=result-item]", "input[aria-controls=results-list]"
OURS = "zeroctl"
FREE = (1200, 700)  # on the page: nothing is there


@pytest.fixture()
def page(frontend: Any) -> Iterator[Any]:
    """An empty graph with a node to pull a wire from for each type, in the classic renderer: the search is the same."""
    page = frontend.page
    if frontend.renderer != "classic":
        pytest.skip("the search is the same on both")
    if not page.evaluate("() => LiteGraph.registered_node_types.ZeroctlControlNet.nodeData.search_aliases"):
        pytest.skip("this host has no search aliases")
    frontend.close_dialogs()
    page.evaluate("() => app.extensionManager.command.execute('Comfy.NewBlankWorkflow')")
    page.wait_for_function("() => app.graph.nodes.length === 0")
    page.evaluate(
        """kinds => {
        app.canvas.ds.scale = 1;
        app.canvas.ds.offset = [0, 0];
        kinds.forEach((kind, index) => {
            const node = LiteGraph.createNode(kind);
            node.pos = [200, 200 + 300 * index];
            app.graph.add(node);
        });
        app.canvas.draw(true, true);
    }""",
        list(WIRES.values()),
    )
    yield page
    frontend.close_dialogs()


def _rows(page: Any, query: str) -> list[tuple[str, str]]:
    """(title, pack) of the nodes of the list, from the top, with this text in the search that has just opened."""
    page.locator(SEARCH).fill(query)
    page.wait_for_timeout(300)
    rows = [row.split("\n") for row in page.locator(ROW).all_inner_texts()]
    page.keyboard.press("Escape")
    page.locator(SEARCH).wait_for(state="detached")
    return [(row[0], row[1]) for row in rows]


def test_what_people_type_finds_a_node_of_ours(page: Any) -> None:
    lists = {}
    for query in QUERIES:
        page.evaluate("() => app.extensionManager.command.execute('Workspace.SearchBox.Toggle')")
        lists[query] = _rows(page, query)
    missed = {query: rows[:FIRST_ROWS] for query, rows in lists.items() if OURS not in dict(rows[:FIRST_ROWS]).values()}
    assert missed == {}
    assert lists["controlnet"][0] == ("ControlNet", OURS)


@pytest.mark.parametrize("kind", WIRES)
def test_a_wire_that_is_let_go_finds_one_too(page: Any, kind: str) -> None:
    place = page.evaluate(
        """([kind, type]) => {
        const node = app.graph.nodes.find(one => one.type === type);
        const place = node.getConnectionPos(false, node.outputs.findIndex(one => one.type === kind));
        const rect = app.canvas.canvas.getBoundingClientRect();
        return [rect.left + place[0], rect.top + place[1]];
    }""",
        [kind, WIRES[kind]],
    )
    page.mouse.move(*place)
    page.mouse.down()
    page.mouse.move(900, 500, steps=5)
    page.mouse.move(*FREE, steps=5)
    page.keyboard.down("Shift")  # with it the search opens, without it a menu
    page.mouse.up()
    page.keyboard.up("Shift")
    assert OURS in dict(_rows(page, "controlnet")[:FIRST_OF_WIRE]).values()
