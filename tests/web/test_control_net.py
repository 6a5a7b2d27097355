"""The node ControlNet in the real frontend: what its rows show is what is stored and queued, after each change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from web_graphs import CONTROL, graph

RUN_SECONDS = 180
PANEL = ".zeroctl-settings"
MARGIN = 10  # pixels around an element in the classic canvas
WIDGETS = [
    "enabled",
    "annotator",
    "control_net_name",
    "strength",
    "start",
    "end",
    "mode",
    "resize",
    "settings",
    "zeroctl_settings",
    "zeroctl_preview",
]


class Node:
    """The node ControlNet on the page: what it shows, what it stores, and what would be queued."""

    def __init__(self, frontend: Any) -> None:
        self.frontend, self.page = frontend, frontend.page
        # a workflow of its own: what came before is not undone into it
        self.page.evaluate("() => app.extensionManager.command.execute('Comfy.NewBlankWorkflow')")
        self.page.wait_for_function("() => app.graph.nodes.length === 0")
        self.page.evaluate("graph => app.loadApiJson(graph, 'control')", graph())
        self.page.wait_for_function("() => app.graph.nodes.some(n => n.type === 'ZeroctlControlNet')")
        # as a saved workflow: front end 1.27 writes nodes without widgets otherwise once they were loaded, takes that
        # for a change, and forgets what was undone
        self.page.evaluate("async () => app.loadGraphData(JSON.parse(JSON.stringify(app.graph.serialize())))")
        self.page.wait_for_timeout(500)
        # all of it on the page, at 1x
        self.page.evaluate(
            """() => {
            const node = app.graph.nodes.find(n => n.type === 'ZeroctlControlNet');
            node.pos = [0, 0];
            for (const other of app.graph.nodes) if (other !== node) other.pos = [900, 40 * Number(other.id)];
            app.canvas.ds.scale = 1;
            app.canvas.ds.offset = [250, 180];
            app.canvas.setDirty(true, true);
            app.extensionManager.workflow.activeWorkflow.changeTracker.reset?.();
        }"""
        )
        self.page.wait_for_timeout(500)

    def stored(self) -> dict[str, Any]:
        return json.loads(
            self.page.evaluate(
                "() => app.graph.nodes.find(n => n.type === 'ZeroctlControlNet')"
                ".widgets.find(w => w.name === 'settings').value"
            )
        )

    def queued(self) -> dict[str, Any]:
        output = self.page.evaluate("async () => (await app.graphToPrompt()).output")
        (node,) = (node for node in output.values() if node["class_type"] == "ZeroctlControlNet")
        assert set(node["inputs"]) == {*graph()[CONTROL]["inputs"]}
        return json.loads(node["inputs"]["settings"])

    def row(self, name: str) -> Any:
        return self.page.locator(f"{PANEL} [data-setting={name}]")

    def shown(self) -> dict[str, Any]:
        """What the rows show, by setting."""
        return self.page.evaluate(
            """panel => Object.fromEntries([...document.querySelectorAll(`${panel} [data-setting]`)].map(row => {
            const control = row.querySelector("input:not([type=range]), select");
            const value = control.type === "checkbox" ? control.checked : control.value;
            return [row.dataset.setting, control.type === "number" ? Number(value) : value];
        }))""",
            PANEL,
        )

    def agrees(self, **settings: Any) -> None:
        """These settings differ from the defaults, and no others: on show, stored and queued."""
        assert self.stored() == self.queued() == settings
        rows = self.shown()
        assert {name: rows[name] for name in settings} == settings
        slider = self.row("low").locator("input[type=range]")
        assert slider.count() == 0 or float(slider.input_value()) == rows["low"]

    def choose(self, annotator: str) -> None:
        """As a hand does it on the widget."""
        self.page.evaluate(
            """name => {
            const node = app.graph.nodes.find(n => n.type === 'ZeroctlControlNet');
            const widget = node.widgets.find(w => w.name === 'annotator');
            app.canvas.emitBeforeChange();
            widget.value = name;
            widget.callback?.(name, app.canvas, node);
            app.canvas.emitAfterChange();
        }""",
            annotator,
        )
        self.page.wait_for_timeout(200)

    def drag(self, name: str, share: float) -> None:
        """Pull a row's slider to this share of its width."""
        box = self.row(name).locator("input[type=range]").bounding_box()
        y = box["y"] + box["height"] / 2
        self.page.mouse.move(box["x"] + box["width"] / 2, y)
        self.page.mouse.down()
        for step in (0.6, 0.8, share):
            self.page.mouse.move(box["x"] + box["width"] * step, y)
        self.page.mouse.up()

    def undo(self, key: str = "z") -> None:
        # older front ends look for changes when Control goes up, and the undo has to be done by then, as by a hand
        self.page.keyboard.down("Control")
        self.page.keyboard.press(key)
        self.page.wait_for_timeout(1200)
        self.page.keyboard.up("Control")


@pytest.fixture()
def node(frontend: Any) -> Iterator[Node]:
    yield Node(frontend)
    assert frontend.complaints() == []


def test_the_rows_are_the_settings_of_the_annotator(node: Node) -> None:
    assert node.shown() == {"low": 100, "high": 200, "blur_sigma": 0, "resolution": 512}
    node.frontend.picture("control-net")
    names = node.page.evaluate(
        "() => app.graph.nodes.find(n => n.type === 'ZeroctlControlNet').widgets.map(w => w.name)"
    )
    assert [name for name in names if name in WIDGETS] == WIDGETS
    assert node.page.get_by_text('{"low"').count() == 0
    node.choose("softedge")
    assert list(node.shown()) == ["mode", "safe", "safe_steps", "safe_scribble", "resolution", "download"]
    node.frontend.picture("control-net-softedge")
    node.choose("none")
    assert node.shown() == {}
    node.agrees()


def test_every_row_is_whole_inside_the_node(node: Node) -> None:
    for annotator in ("canny", "lines", "pose", "tile"):
        node.choose(annotator)
        panel = node.page.locator(PANEL).bounding_box()
        last = node.page.locator(f"{PANEL} .row").last.bounding_box()
        assert last["y"] + last["height"] <= panel["y"] + panel["height"] + 1, annotator
        bottom = node.page.evaluate(
            """() => {
            const node = app.graph.nodes.find(n => n.type === 'ZeroctlControlNet');
            return (node.pos[1] + node.size[1] + app.canvas.ds.offset[1]) * app.canvas.ds.scale;
        }"""
        )
        top = node.page.evaluate("() => app.canvas.canvas.getBoundingClientRect().top")
        if node.frontend.renderer == "classic":
            # what stands below, such as the picture of a run, begins where the widget ends; the canvas draws it late
            node.page.wait_for_function(
                """([height, margin]) => app.graph.nodes.find(n => n.type === 'ZeroctlControlNet')
                .widgets.find(w => w.name === 'zeroctl_settings').computedHeight >= height + 2 * margin - 1""",
                arg=[panel["height"], MARGIN],
            )
            assert panel["y"] + panel["height"] <= bottom + top + 1, annotator
        else:
            whole = node.page.locator(f"[data-node-id]:has({PANEL})").last.bounding_box()
            assert panel["y"] + panel["height"] <= whole["y"] + whole["height"] + 1, annotator
        node.frontend.picture(f"rows-{annotator}")


def test_a_change_is_shown_stored_and_queued_and_undone(node: Node) -> None:
    node.drag("low", 0.9)
    low = node.stored()["low"]
    assert 170 < low <= 255
    node.agrees(low=low)
    node.row("high").locator("input[type=number]").fill("90")
    node.page.keyboard.press("Enter")
    node.agrees(low=low, high=90)
    node.page.mouse.click(150, 900)
    node.drag("blur_sigma", 0.7)
    blur = node.stored()["blur_sigma"]
    node.agrees(low=low, high=90, blur_sigma=blur)
    node.undo()
    node.agrees(low=low, high=90)
    node.undo()
    node.agrees(low=low)
    node.undo()
    node.agrees()
    for _ in range(3):
        node.undo("y")
    node.agrees(low=low, high=90, blur_sigma=blur)
    node.drag("low", 0.3)  # the row of the node that undo has made
    assert node.stored()["low"] < 100
    node.agrees(low=node.stored()["low"], high=90, blur_sigma=blur)


def test_another_annotator_and_back_keeps_what_was_set(node: Node) -> None:
    node.drag("low", 0.9)
    low = node.stored()["low"]
    node.choose("tile")
    node.agrees()
    node.row("mode").locator("select").select_option(index=1)
    mode = node.stored()["mode"]
    node.choose("canny")
    node.agrees(low=low)
    node.choose("tile")
    assert node.stored() == {"mode": mode} and node.shown()["mode"] == mode


def test_a_saved_workflow_and_a_copy_have_the_settings(node: Node) -> None:
    node.drag("low", 0.9)
    low = node.stored()["low"]
    text = node.page.evaluate("() => JSON.stringify(app.graph.serialize())")
    (stored,) = (one for one in json.loads(text)["nodes"] if one["type"] == "ZeroctlControlNet")
    assert stored["widgets_values"] == [True, "canny", "zeroctl/edges", 1, 0, 1, "balanced", "crop", f'{{"low":{low}}}']
    node.page.evaluate("text => app.loadGraphData(JSON.parse(text))", text)
    node.page.wait_for_timeout(700)
    node.agrees(low=low)
    values = node.page.evaluate(
        """() => {
        const copy = app.graph.nodes.find(n => n.type === 'ZeroctlControlNet').clone();
        return [copy.widgets.find(w => w.name === 'settings').value, copy.widgets.length];
    }"""
    )
    assert values == [json.dumps({"low": low}, separators=(",", ":")), len(WIDGETS)]


def test_with_a_latent_the_resolution_is_that_of_the_latent(node: Node) -> None:
    node.page.evaluate(
        """() => {
        const find = type => app.graph.nodes.find(n => n.type === type);
        const control = find("ZeroctlControlNet");
        find("EmptyLatentImage").connect(0, control, control.inputs.findIndex(i => i.name === "latent"));
    }"""
    )
    node.page.wait_for_timeout(200)
    field = node.row("resolution").locator("input")
    assert field.input_value() == "of the latent" and field.is_disabled()


def test_a_setting_of_another_annotator_can_be_removed(node: Node) -> None:
    node.page.evaluate(
        """() => {
        const control = app.graph.nodes.find(n => n.type === 'ZeroctlControlNet');
        control.widgets.find(w => w.name === 'settings').value = '{"low": 50, "detect_size": 3}';
        control.onConfigure({});
    }"""
    )
    node.page.locator(PANEL).get_by_text("detect_size: not a setting of canny").wait_for()
    node.page.locator(PANEL).get_by_role("button", name="Remove").click()
    node.agrees(low=50)


def test_a_run_shows_the_condition_on_the_node(node: Node) -> None:
    before = node.page.evaluate("() => app.graph.nodes.find(n => n.type === 'ZeroctlControlNet').size[1]")
    node.page.evaluate(
        """seed => {
        for (const widget of app.graph.nodes.flatMap(n => n.widgets ?? []))
            if (widget.name === "control_after_generate") widget.value = "fixed";
        const scene = app.graph.nodes.find(n => n.type === "ZeroctlDemoScene");
        scene.widgets.find(w => w.name === "seed").value = seed;
    }""",
        100 + len(node.frontend.renderer),  # one of its own: what the server has in its cache makes no picture anew
    )
    pictures = set()
    for seed in (1, 2):  # the second takes the condition from the cache
        node.page.evaluate(
            """seed => {
            app.graph.nodes.find(n => n.type === 'KSampler').widgets.find(w => w.name === 'seed').value = seed;
            window.zeroctlDone = false;
            const api = window.comfyAPI.api.api;
            api.addEventListener('execution_success', () => (window.zeroctlDone = true), { once: true });
            app.queuePrompt(0);
        }""",
            seed,
        )
        node.page.wait_for_function("() => window.zeroctlDone", timeout=1000 * RUN_SECONDS)
        node.page.wait_for_timeout(1500)
        names, height = node.page.evaluate(
            """() => {
            const node = app.graph.nodes.find(n => n.type === 'ZeroctlControlNet');
            return [(app.nodeOutputs[node.id]?.images ?? []).map(image => image.filename), node.size[1]];
        }"""
        )
        node.frontend.picture(f"control-net-run-{seed}")
        pictures.add(tuple(names))
        assert len(names) == 1 and height >= before, seed
    assert len(pictures) == 1
