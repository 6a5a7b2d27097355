"""The help of every node in the real frontend: found at once, in every language, and no page wider than its panel."""

from __future__ import annotations

import json
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "web" / "docs"
NODES: dict[str, Any] = json.loads((ROOT / "tests" / "host" / "object_info.json").read_text())
LAPTOP = {"width": 1440, "height": 900}
APART = 600  # pixels between nodes, so that the buttons of one lie over no other


@pytest.fixture()
def page(frontend: Any) -> Iterator[Any]:
    """The frontend with one node of each kind, in a window as small as a laptop's."""
    page, before = frontend.page, frontend.page.viewport_size
    frontend.close_dialogs()
    page.set_viewport_size(LAPTOP)
    page.evaluate("() => app.extensionManager.command.execute('Comfy.NewBlankWorkflow')")
    page.wait_for_function("() => app.graph.nodes.length === 0")
    page.evaluate(
        """([ids, apart]) => ids.forEach((id, index) => {
            const node = LiteGraph.createNode(id);
            node.pos = [apart * index, 0];
            app.graph.add(node);
        })""",
        [list(NODES), APART],
    )
    yield page
    page.set_viewport_size(before)


def _open_help(page: Any, index: int, title: str) -> None:
    """The help of a node of the graph; a panel that is open already follows what is selected, on newer front ends."""
    page.evaluate(
        """([index, apart]) => {
            app.canvas.ds.scale = 0.7;
            app.canvas.ds.offset = [900 - apart * index, 500];
            app.canvas.setDirty(true, true);
            app.canvas.selectNode(app.graph.nodes[index]);
        }""",
        [index, APART],
    )
    heading = page.get_by_role("heading", name=title, exact=True, level=1)
    page.wait_for_timeout(300)
    if not heading.count():
        page.get_by_test_id("info-button").click()
    heading.last.wait_for()


def _cut(page: Any) -> list[str]:
    """What lies beyond the edge of the panel, or has to be scrolled sideways: words, and boxes."""
    return page.evaluate(
        """() => {
        const root = document.querySelector('.node-help-content');
        const edge = root.getBoundingClientRect().right + 0.5;
        const cut = [];
        const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
        for (let text = walker.nextNode(); text; text = walker.nextNode())
            for (const word of text.textContent.matchAll(/\\S+/g)) {
                const range = document.createRange();
                range.setStart(text, word.index);
                range.setEnd(text, word.index + word[0].length);
                const beyond = range.getBoundingClientRect().right - edge;
                if (beyond > 0) cut.push(`${word[0]} by ${Math.round(beyond)}`);
            }
        for (const box of root.querySelectorAll('*')) {
            if (box.getBoundingClientRect().right > edge) cut.push(`a box, ${box.tagName}`);
            const scrolls = getComputedStyle(box).overflowX !== 'visible' && box.scrollWidth > box.clientWidth + 1;
            if (scrolls) cut.push(`scrolled, ${box.tagName}`);
        }
        return cut;
    }"""
    )


def test_no_help_page_is_cut_off_or_missing_at_first(frontend: Any, page: Any) -> None:
    if frontend.renderer != "classic":
        pytest.skip("the panel is the same on both")
    failed: list[str] = []
    page.on("response", lambda response: failed.append(response.url) if response.status >= 400 else None)
    frontend.console.clear()
    cut = {}
    for index, (node_id, node) in enumerate(NODES.items()):
        _open_help(page, index, node["display_name"])
        if words := _cut(page):
            cut[node_id] = words
        if "pictures/" in (PAGES / f"{node_id}.md").read_text():
            picture = page.locator(".node-help-content img").first
            page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=picture.element_handle())
    assert cut == {}
    assert [url for url in failed if "Zeroctl" in url or "pictures/" in url] == []
    assert frontend.complaints() == []


@pytest.mark.parametrize("locale", ["en", "zh", "pt-BR"])
def test_a_help_page_answers_in_every_language(server: Any, locale: str) -> None:
    for node_id in NODES:
        body = server.get_bytes(f"/extensions/zeroctl/docs/{node_id}/{locale}.md")
        assert body == (PAGES / f"{node_id}.md").read_bytes()


@pytest.mark.parametrize("path", ["ZeroctlNothing/en.md", "..%2fZeroctlCanny/en.md", "ZeroctlCanny/en.txt"])
def test_a_page_that_is_not_there_is_not_found(server: Any, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        server.get_bytes(f"/extensions/zeroctl/docs/{path}")
