"""What nodes show before anything is run: whole titles and names of files, what is missing, wires in colours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
NODES: dict[str, Any] = json.loads((ROOT / "tests" / "host" / "object_info.json").read_text())
TYPES = ("ZEROCTL_STACK", "ZEROCTL_WEIGHTS", "ZEROCTL_SCHEDULE", "ZEROCTL_UNION", "ZEROCTL_TRAINING_DATA")
FILE_NODES = ("ZeroctlControlNet", "ZeroctlLoadControlNet", "ZeroctlDepth", "ZeroctlSegment", "ZeroctlPose")
LONG_NAME = "control_v11p_sd15_canny_fp16.safetensors"
HED = "ControlNetHED.pth, 29 MB, not here"
DEPTH = "Depth-Anything-V2-Small-hf (99 MB, not here)"


@pytest.fixture()
def page(frontend: Any, server: Any) -> Iterator[Any]:
    """One node of each kind on an empty graph, apart from each other."""
    page = frontend.page
    frontend.close_dialogs()
    page.evaluate("() => app.extensionManager.command.execute('Comfy.NewBlankWorkflow')")
    page.wait_for_function("() => app.graph.nodes.length === 0")
    page.evaluate(
        """ids => ids.forEach((id, index) => {
            const node = LiteGraph.createNode(id);
            node.pos = [500 * (index % 8), 900 * Math.floor(index / 8)];
            app.graph.add(node);
        })""",
        list(NODES),
    )
    page.evaluate("() => { app.canvas.ds.scale = 0.4; app.canvas.ds.offset = [150, 150]; }")
    page.wait_for_timeout(500)
    yield page
    frontend.picture("faces")


def _look_at(page: Any, kind: str) -> None:
    page.evaluate(
        """kind => {
        const node = app.graph.nodes.find(one => one.type === kind);
        app.canvas.ds.scale = 1;
        app.canvas.ds.offset = [400 - node.pos[0], 200 - node.pos[1]];
        app.canvas.setDirty(true, true);
    }""",
        kind,
    )
    page.wait_for_timeout(300)


def test_titles_are_whole(frontend: Any, page: Any) -> None:
    if frontend.renderer == "nodes2":
        rows = page.locator("[data-testid=node-title]").evaluate_all(
            "titles => titles.map(one => [one.textContent.trim(), one.scrollWidth > one.clientWidth])"
        )
    else:
        rows = page.evaluate(
            """() => app.graph.nodes.map(node => {
            const pen = app.canvas.ctx;
            pen.font = node.titleFontStyle;
            return [node.title, pen.measureText(node.title).width > node.size[0] - 2 * LiteGraph.NODE_TITLE_HEIGHT];
        })"""
        )
    assert rows and [title for title, is_cut in rows if is_cut] == []


def test_names_of_files_are_whole(frontend: Any, page: Any) -> None:
    widths = page.evaluate("() => Object.fromEntries(app.graph.nodes.map(node => [node.type, node.size[0]]))")
    assert [kind for kind in FILE_NODES if widths[kind] < 400] == []
    if frontend.renderer == "nodes2":
        for kind in ("ZeroctlControlNet", "ZeroctlLoadControlNet"):
            _look_at(page, kind)
            text = page.locator("[data-node-id]", has_text=NODES[kind]["display_name"]).get_by_text(LONG_NAME)
            page.evaluate(
                """([kind, name]) => { app.graph.nodes.find(one => one.type === kind)
                .widgets.find(one => one.name === "control_net_name").value = name; }""",
                [kind, LONG_NAME],
            )
            text.first.wait_for()
            assert text.first.evaluate("text => text.scrollWidth <= text.clientWidth")


def test_a_saved_node_keeps_its_width(page: Any) -> None:
    width = page.evaluate(
        """async () => {
        const saved = JSON.parse(JSON.stringify(app.graph.serialize()));
        saved.nodes.forEach(node => { if (node.type === "ZeroctlLoadControlNet") node.size[0] = 300; });
        await app.loadGraphData(saved);
        return app.graph.nodes.find(one => one.type === "ZeroctlLoadControlNet").size[0];
    }"""
    )
    assert width == 300


def test_what_is_missing_stands_on_the_node_before_a_run(frontend: Any, page: Any) -> None:
    labels = page.evaluate(
        """() => Object.fromEntries(app.graph.nodes.map(node => [node.type, (node.widgets ?? []).map(widget =>
            [widget.name, widget.label, widget.options.getOptionLabel?.(widget.value)])]))"""
    )
    switch = {kind: {name: label for name, label, _ in rows}.get("download") for kind, rows in labels.items()}
    values = {kind: {name: text for name, _, text in rows} for kind, rows in labels.items()}
    assert switch["ZeroctlSoftEdge"] == f"download ({HED})"
    assert values["ZeroctlDepth"]["model"] == DEPTH
    assert values["ZeroctlTEED"]["weights"] == "teed (7_model.pth, 0.2 MB, not here)"
    assert values["ZeroctlLineart"]["style"] == "standard" and values["ZeroctlControlNet"]["annotator"] == "canny"
    of_softedge = page.evaluate(
        """() => app.graph.nodes.find(node => node.type === "ZeroctlControlNet")
        .widgets.find(widget => widget.name === "annotator").options.getOptionLabel("softedge")"""
    )
    assert of_softedge == f"softedge ({HED})"
    output = page.evaluate("async () => (await app.graphToPrompt()).output")
    assert {node["inputs"]["model"] for node in output.values() if node["class_type"] == "ZeroctlDepth"} == {
        "Depth-Anything-V2-Small-hf"
    }
    if frontend.renderer == "nodes2":
        _look_at(page, "ZeroctlSoftEdge")
        text = page.get_by_text(HED).first
        text.wait_for()
        assert text.evaluate("text => text.scrollWidth <= text.clientWidth")
        page.get_by_text(DEPTH).first.wait_for()


def test_the_settings_of_controlnet_say_what_is_missing(page: Any) -> None:
    _look_at(page, "ZeroctlControlNet")
    page.evaluate(
        """() => {
        const node = app.graph.nodes.find(one => one.type === "ZeroctlControlNet");
        const widget = node.widgets.find(one => one.name === "annotator");
        widget.value = "softedge";
        widget.callback("softedge");
    }"""
    )
    row = page.locator(".zeroctl-settings .absent")
    row.wait_for()
    assert row.inner_text() == HED and row.evaluate("row => row.scrollWidth <= row.clientWidth")


@pytest.mark.parametrize("palette", ["dark", "light", "dark"])
def test_our_wires_have_colours_in_every_palette(page: Any, palette: str) -> None:
    page.evaluate("name => app.extensionManager.setting.set('Comfy.ColorPalette', name)", palette)
    page.wait_for_timeout(600)
    page.wait_for_function(
        """types => {
        const colours = types.map(type => [
            app.canvas.constructor.link_type_colors[type],
            app.canvas.default_connection_color_byType[type],
            document.documentElement.style.getPropertyValue(`--color-datatype-${type}`),
        ]);
        return colours.every(([one, two, three]) => one && one === two && one === three)
            && new Set(colours.map(([one]) => one)).size === types.length;
    }""",
        arg=list(TYPES),
        timeout=15_000,
    )


def test_advanced_inputs_are_folded_away_and_keep_their_values(page: Any) -> None:
    values = page.evaluate(
        """async () => {
        const node = () => app.graph.nodes.find(one => one.type === "ZeroctlControl");
        node().widgets.find(one => one.name === "branches").value = "cond";
        const saved = JSON.parse(JSON.stringify(app.graph.serialize()));
        await app.loadGraphData(saved);
        const output = Object.values((await app.graphToPrompt()).output);
        return [node().widgets.map(one => one.name).slice(0, 9), node().widgets_values ?? null,
            output.find(one => one.class_type === "ZeroctlControl").inputs.branches];
    }"""
    )
    names = ["strength", "start", "end", "mode", "resize", "enabled", "branches", "mask_feather", "mask_invert"]
    assert values[0] == names and values[2] == "cond"
