"""What nodes show on the canvas: reports and pictures, of all nodes behind one, and again for a page opened later."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from control_graphs import picture, with_our_control
from host_graphs import Graph, node
from host_process import Host, NodeFailed, Result

FACE = {
    "enabled": True,
    "annotator": "canny",
    "strength": 0.8,
    "start": 0.0,
    "end": 1.0,
    "mode": "balanced",
    "resize": "crop",
    "settings": '{"resolution": 64}',
}
KEEP = {"latent": ["sampler", 0]}


@pytest.fixture()
def session(host: Host) -> Iterator[Host]:
    """The host with a cache that begins empty."""
    host._executor = None
    yield host
    host._executor = None


@pytest.fixture()
def one_node(host: Host, graph_of: Callable[..., Graph], controlnet_file: Callable[..., Path]) -> Callable[..., Graph]:
    graph, image = graph_of(), host.give(picture())

    def make(**inputs: Any) -> Graph:
        name = controlnet_file("narrow", 0, torch.float32).name
        values = {**FACE, "control_net_name": name, "model": ["model", 0], "image": ["image", 0], **inputs}
        sampler = {**graph["sampler"]["inputs"], "model": ["5", 0]}
        return {
            **graph,
            "image": image,
            "5": node("ZeroctlControlNet", **values),
            "sampler": node("KSampler", **sampler),
        }

    return make


def last_shown(result: Result, node_id: str) -> dict[str, Any]:
    """What the browser shows on a node: it keeps the last of what comes for it."""
    outputs = [one["output"] for one in result.sent("executed") if one["display_node"] == node_id and one["output"]]
    return outputs[-1]


def test_apply_shows_its_report_and_the_line_that_matters(host: Host, graph_of, our_net) -> None:
    graph = with_our_control(graph_of(), host.give(our_net("narrow")), host.give(picture()), end=0.5)
    result = host.run(graph, keep={**KEEP, "report": ["ours", 1]})
    output = last_shown(result, "ours")
    assert output["zeroctl_report"] == [result["report"]]
    assert re.fullmatch(
        r"narrow-0-float32 on SD 1\.5, steps 1-\d+ of 20( \(normal\))?, \+\d+ %", output["zeroctl_line"][0]
    )


@pytest.mark.parametrize(
    ("inputs", "line"),
    [
        ({}, "narrow-0-float32 on SD 1.5, steps 1-20 of 20, +{cost} %"),
        ({"mode": "control"}, "narrow-0-float32 on SD 1.5, steps 1-20 of 20, +{half} %"),
        ({"enabled": False}, "narrow-0-float32: off"),
        ({"strength": 0.0}, "narrow-0-float32: off, strength 0"),
    ],
)
def test_the_line_says_what_the_report_says(host: Host, graph_of, our_net, inputs, line) -> None:
    graph = with_our_control(graph_of(), host.give(our_net("narrow")), host.give(picture()), **inputs)
    output = last_shown(host.run(graph, keep=KEEP), "ours")
    costs = {}
    if "cost: " in output["zeroctl_report"][0]:
        share = float(output["zeroctl_report"][0].partition("cost: ")[2].split()[0])
        costs = {"cost": f"{share:.0f}", "half": f"{share:.0f}"}
    assert output["zeroctl_line"] == [line.format(**costs)]


def test_a_stack_has_a_line_for_each_control(host: Host, graph_of, our_net) -> None:
    graph = with_our_control(graph_of(), host.give(our_net("narrow")), host.give(picture()))
    previous = "ours control"
    for number in range(7):
        graph[f"c{number}"] = node("ZeroctlControl", **{**graph["ours control"]["inputs"], "stack": [previous, 0]})
        previous = f"c{number}"
    graph["ours"]["inputs"]["stack"] = [previous, 0]
    lines = last_shown(host.run(graph, keep=KEEP), "ours")["zeroctl_line"][0].split("\n")
    assert len(lines) == 7 and lines[-1] == "and 2 more" and len(set(lines[:-1])) == 1


def test_controlnet_shows_picture_and_report(host: Host, one_node) -> None:
    output = last_shown(host.run(one_node(), keep=KEEP), "5")
    assert len(output["images"]) == 1 and output["zeroctl_line"][0].startswith("narrow-0-float32 on SD 1.5")


def test_a_picture_from_the_cache_stays_beside_the_new_report(session: Host, one_node) -> None:
    first = last_shown(session.run(one_node(), keep=KEEP, fresh=False), "5")
    result = session.run(one_node(end=0.2), keep=KEEP, fresh=False)
    second = last_shown(result, "5")
    assert not [name for name in result.executed if name.endswith(".annotate")]
    assert second["images"] == first["images"] and second["zeroctl_line"] != first["zeroctl_line"]
    third = last_shown(session.run(one_node(annotator="none", settings="{}"), keep=KEEP, fresh=False), "5")
    assert "images" not in third or third["images"] != first["images"]


def asked(host: Host, prompt: Any, client: Any = "page") -> dict[str, Any]:
    """What a page is told when it queues a graph, before anything runs."""
    host.events.clear()
    request = {"prompt": prompt, "client_id": client}
    assert host.server.trigger_on_prompt(request) is request
    return {data["display_node"]: data["output"] for name, data in host.events if name == "executed"}


def test_a_page_is_told_what_nodes_have_shown_before_it_was_opened(host: Host, one_node) -> None:
    graph = one_node()
    output = last_shown(host.run(graph, keep=KEEP), "5")
    assert asked(host, graph) == {"5": output}
    named = {**graph, "5": {**graph["5"], "_meta": {"title": "mine"}}}
    later = {**named, "sampler": node("KSampler", **{**graph["sampler"]["inputs"], "seed": 9})}
    assert asked(host, later) == {"5": output}
    whole = {**graph, "5": node("ZeroctlControlNet", **{**graph["5"]["inputs"], "end": 1, "start": 0})}
    assert asked(host, whole) == {"5": output}, "a browser writes 1 for 1.0"
    for changed in ({"strength": 0.7}, {"image": ["positive", 0]}, {"settings": '{"resolution": 128}'}):
        other = {**graph, "5": node("ZeroctlControlNet", **{**graph["5"]["inputs"], **changed})}
        assert asked(host, other) == {}, changed
    before = {**graph, "image": node("LoadImage", image="other.png")}
    assert asked(host, before) == {}


@pytest.mark.parametrize(
    "prompt",
    [None, 5, [], {"5": None}, {"5": []}, {"5": {}}, {"5": {"inputs": 5}}, {"5": {"inputs": {"a": ["5", 0]}}}],
)
def test_a_prompt_of_any_kind_is_let_through(host: Host, one_node, prompt) -> None:
    host.run(one_node(), keep=KEEP)
    assert asked(host, prompt) == {}
    assert asked(host, one_node(), client=None) == {}


def test_what_is_kept_is_bounded(host: Host, one_node) -> None:
    (name,) = (name for name in sys.modules if name.endswith(".nodes.host.shown"))
    module = sys.modules[name]
    entries = module.Kept()
    for number in range(module.MOST_KEPT + 5):
        entries.put(str(number), "x", {"n": [number]})
    assert len(entries._entries) == module.MOST_KEPT and "4" not in entries._entries and "5" in entries._entries


def test_a_control_that_never_acted_is_said_of_its_node(host: Host, one_node) -> None:
    result = host.run(one_node(start=1.0), keep=KEEP)
    (notice,) = [one for one in result.sent("zeroctl.notice") if one["title"] == "Control never acted"]
    assert (notice["node"], notice["of_run"]) == ("5", True)
    begins = [
        index for index, (name, data) in enumerate(result.events) if name == "zeroctl.run" and data["nodes"] == ["5"]
    ]
    notices = [index for index, (name, data) in enumerate(result.events) if data is notice]
    assert len(begins) == 1 and begins[0] < notices[0]


def test_an_error_during_sampling_is_said_of_the_node_of_the_control(host: Host, graph_of, our_net) -> None:
    net = host.give(our_net("narrow"))
    graph = with_our_control(graph_of(), net, host.give(picture()), if_never_applied="error", start=1.0)
    with pytest.raises(NodeFailed, match="cannot act in this run") as caught:
        host.run(graph, keep=KEEP)
    assert caught.value.node_id == "sampler"
    (notice,) = [data for name, data in host.events if name == "zeroctl.notice"]
    assert (notice["node"], notice["severity"]) == ("ours", "error") and "cannot act in this run" in notice["text"]


@pytest.mark.parametrize(("title", "expected"), [("My net", "My net"), ("", "ControlNet")])
def test_a_message_from_inside_names_the_node_of_the_canvas(host: Host, one_node, title, expected) -> None:
    graph = one_node(annotator="none", settings="{}")
    graph["image"] = host.give(torch.full((1, 64, 64, 3), 0.5))
    graph["5"]["_meta"] = {"title": title or "ControlNet"}
    (notice,) = host.run(graph, keep=KEEP).sent("zeroctl.notice")
    assert notice["title"] == expected and notice["node"] == "5" and "one colour" in notice["text"]
    graph["image"] = host.give(torch.full((1, 64, 64, 3), 0.5))
    graph["5"]["inputs"] |= {"annotator": "canny"}
    notices = host.run(graph, keep=KEEP).sent("zeroctl.notice")
    assert {one["title"] for one in notices} == {expected} and {one["node"] for one in notices} == {"5"}
