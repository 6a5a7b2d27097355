"""Our pack in the real frontend: examples open whole, help opens, and the notices of a run show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from examples import COND_ONLY, TWO

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "example_workflows"
API_FORMS = ROOT / "tests" / "workflows"
NAMES = sorted(path.stem for path in API_FORMS.glob("*.json"))
RUN_SECONDS = 180
NEVER_ACTED = "Control never acted"


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


@pytest.mark.parametrize("name", NAMES)
def test_an_example_opens_whole(frontend: Any, name: str) -> None:
    frontend.console.clear()  # what tests before left is theirs
    frontend.open(_json(EXAMPLES / f"{name}.json"))
    frontend.picture(name)
    missing = frontend.page.evaluate(
        "() => app.graph.nodes.map(n => n.type).filter(t => !LiteGraph.registered_node_types[t])"
    )
    assert missing == []
    assert frontend.page.locator(".p-toast-message").count() == 0
    assert frontend.page.locator(".p-dialog").count() == 0  # missing nodes, missing models
    assert frontend.complaints() == []


@pytest.mark.parametrize("name", NAMES)
def test_the_frontend_queues_what_the_api_form_says(frontend: Any, name: str) -> None:
    frontend.open(_json(EXAMPLES / f"{name}.json"))
    output = frontend.page.evaluate("async () => (await app.graphToPrompt()).output")
    expected = _json(API_FORMS / f"{name}.json")
    assert list(output) and {i: n["class_type"] for i, n in output.items()} == {
        i: n["class_type"] for i, n in expected.items()
    }
    for node_id, node in expected.items():
        # a newer host may add inputs of its own to its own nodes
        assert {key: output[node_id]["inputs"].get(key) for key in node["inputs"]} == node["inputs"]
        if node["class_type"].startswith("Zeroctl"):
            assert output[node_id]["inputs"].keys() == node["inputs"].keys()


def test_every_widget_of_our_nodes_is_there(frontend: Any) -> None:
    nodes = _json(ROOT / "tests" / "host" / "object_info.json")
    registered = frontend.page.evaluate(
        """ids => Object.fromEntries(ids.map(id => {
        const node = LiteGraph.createNode(id);
        return [id, [node.widgets ?? [], node.inputs, node.outputs].map(things => things.map(thing => thing.name))];
    }))""",
        list(nodes),
    )
    annotators = nodes["ZeroctlControlNet"]["input"]["required"]["settings"][1]["zeroctl_annotators"]
    live = {entry["node"] for entry in annotators.values() if entry["preview"]}
    for node_id, node in nodes.items():
        inputs = {**node["input"].get("required", {}), **node["input"].get("optional", {})}
        widgets, sockets, outputs = registered[node_id]
        expected = []
        for name, spec in inputs.items():
            is_socket = len(spec) > 1 and spec[1].get("forceInput")
            if spec[0] in ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO") and not is_socket:
                expected.append(name)
                if len(spec) > 1 and spec[1].get("control_after_generate"):
                    expected.append("control_after_generate")  # the front end's own, beside a seed
        if node_id == "ZeroctlControlNet":
            expected.append("zeroctl_pairing")  # what there is to say of the file
            expected.append("zeroctl_settings")  # the rows that stand for its text `settings`
        if node_id == "ZeroctlControlNet" or node_id in live:
            expected.append("zeroctl_preview")
        assert widgets == expected, node_id
        assert set(sockets) >= set(inputs) - set(widgets), node_id
        assert outputs == node["output_name"], node_id


def test_nodes_2_draws_our_nodes_with_their_widgets(frontend: Any) -> None:
    if frontend.renderer != "nodes2":
        pytest.skip("the classic canvas has no elements to look at")
    workflow = _json(EXAMPLES / f"{TWO}.json")
    frontend.open(workflow)
    assert frontend.page.locator("[data-node-id]").count() == len(workflow["nodes"])
    control = frontend.page.locator("[data-node-id='17']")
    for name in ("strength", "start", "end", "mode", "resize", "enabled"):
        assert control.get_by_text(name, exact=True).count() == 1, name
    advanced = ("branches", "mask_feather", "mask_invert")
    assert [control.get_by_text(name, exact=True).count() for name in advanced] == [0, 0, 0]
    control.get_by_text("Show advanced inputs").click()
    for name in advanced:
        control.get_by_text(name, exact=True).wait_for()


@pytest.mark.parametrize("node_id", [15, 8], ids=["ZeroctlWeights", "ZeroctlControl"])
def test_the_help_page_opens(frontend: Any, node_id: int) -> None:
    frontend.open(_json(EXAMPLES / f"{COND_ONLY}.json"))
    page = frontend.page
    kind = page.evaluate("id => app.graph.getNodeById(id).type", node_id)
    page.evaluate("id => app.canvas.selectNode(app.graph.getNodeById(id))", node_id)
    title, _, text = (ROOT / "web" / "docs" / f"{kind}.md").read_text().partition("\n")
    page.get_by_test_id("info-button").click()
    page.get_by_role("heading", name=title.removeprefix("# "), exact=True).last.wait_for()
    page.get_by_text(" ".join(text.split()[:6])).first.wait_for()
    frontend.picture(f"help-{kind}")
    assert page.locator("li code").get_by_text("control_net", exact=True).count() >= 1


def test_a_help_page_shows_its_picture(frontend: Any) -> None:
    workflow = _json(EXAMPLES / f"{COND_ONLY}.json")
    frontend.open(workflow)
    page = frontend.page
    (canny,) = (node["id"] for node in workflow["nodes"] if node["type"] == "ZeroctlCanny")
    page.evaluate("id => app.canvas.selectNode(app.graph.getNodeById(id))", canny)
    page.get_by_test_id("info-button").click()
    picture = page.get_by_alt_text("before and after")
    picture.wait_for()
    picture.scroll_into_view_if_needed()
    page.wait_for_function("image => image.complete && image.naturalWidth > 300", arg=picture.element_handle())
    frontend.picture("help-picture")


def test_a_control_that_never_acts_gives_a_notice(frontend: Any) -> None:
    workflow = _json(EXAMPLES / f"{TWO}.json")
    frontend.open(workflow)
    page = frontend.page
    # a window below the last noise level of any run, and a size that a processor manages
    # (a seed of its own: a run from the server's cache has no notice)
    page.evaluate(
        """seed => {
        const set = (id, values) => {
            const node = app.graph.getNodeById(id);
            for (const [name, value] of Object.entries(values)) node.widgets.find(w => w.name === name).value = value;
        };
        set(16, {start: 0.001, end: 0, unit: "sigma", curve: ""});
        set(11, {width: 64, height: 64});
        set(12, {steps: 2, seed});
    }""",
        len(frontend.renderer),
    )
    page.evaluate("() => app.queuePrompt(0)")
    toast = page.locator(".p-toast-message", has_text=NEVER_ACTED)
    toast.wait_for(timeout=1000 * RUN_SECONDS)
    frontend.picture("never-acted")
    assert toast.count() == 1
    assert "control 2" in toast.inner_text() and "control 1" not in toast.inner_text()
    assert "control_v11f1e_sd15_tile_fp16" in toast.inner_text() and "Schedule(" not in toast.inner_text()
    assert "warn" in toast.get_attribute("class")
    assert [line for line in frontend.console if f"[zeroctl] {NEVER_ACTED}" in line]
