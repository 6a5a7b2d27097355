"""CONTROL_NET_STACK of other packs: rows of five, of Easy-Use and of old Comfyroll, with nets or names of files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from control_graphs import CONTROL, latents, picture, with_our_control
from host_graphs import Graph, node
from host_process import Host, NodeFailed

Rows = Callable[[Any, str], list[Any]]
IMAGE = picture()


@pytest.fixture
def net_name(host: Host, controlnet_file: Callable[..., Path]) -> str:
    """A file that every pack lists by its name."""
    return controlnet_file("narrow", 0, torch.float32).name


def from_rows(host: Host, graph: Graph, rows: Any) -> Graph:
    """The graph with the controls of these rows before its sampler."""
    sampler = graph["sampler"]
    return {
        **graph,
        "rows": host.give(rows),
        "from": node("ZeroctlStackFromLegacy", control_net_stack=["rows", 0]),
        "ours": node("ZeroctlApply", model=["model", 0], stack=["from", 0], if_never_applied="error"),
        "sampler": {**sampler, "inputs": {**sampler["inputs"], "model": ["ours", 0]}},
    }


FORMATS: dict[str, tuple[Rows, dict[str, float]]] = {
    "five with a net": (lambda net, name: [(net, IMAGE, 0.7, 0.0, 0.6)], {"strength": 0.7, "end": 0.6}),
    "five with a name": (lambda net, name: [(name, IMAGE, 0.7, 0.0, 0.6)], {"strength": 0.7, "end": 0.6}),
    "Easy-Use": (lambda net, name: [(name, 0.7, 0, 0.6, 1.0, IMAGE, True)], {"strength": 0.7, "end": 0.6}),
    "old Comfyroll": (lambda net, name: [[net, IMAGE, 0.7]], {"strength": 0.7}),
    "old Comfyroll with a name": (lambda net, name: ((name, IMAGE, 0.7),), {"strength": 0.7}),
}


@pytest.mark.parametrize(("rows", "inputs"), FORMATS.values(), ids=FORMATS.keys())
def test_a_row_of_every_format_is_the_control_that_it_says(host, graph_of, our_net, net_name, rows, inputs) -> None:
    graph, net = graph_of(), our_net("narrow")
    expected = latents(host, with_our_control(graph, host.give(net), host.give(IMAGE), **inputs))
    result = host.run(
        from_rows(host, graph, rows(net, net_name)), keep={"latent": ["sampler", 0], "report": ["from", 1]}
    )
    assert torch.equal(result["latent"]["samples"], expected)
    assert result["report"] == f"control 1: strength 0.7, timesteps 0 to {inputs.get('end', 1.0):g}"


def test_a_file_that_several_rows_name_is_loaded_once(host, graph_of, net_name) -> None:
    rows = [(net_name, 0.5, 0.0, 1.0, 1.0, IMAGE, True)] * 2
    stack = host.run(from_rows(host, graph_of(), rows), keep={"stack": ["from", 0]})["stack"]
    assert len(stack) == 2 and stack[0].control_net is stack[1].control_net


def test_a_soft_weight_is_named_by_both_reports(host, graph_of, net_name) -> None:
    rows = [(net_name, 1.0, 0.0, 1.0, 0.8, IMAGE, True)]
    result = host.run(from_rows(host, graph_of(), rows), keep={"from": ["from", 1], "apply": ["ours", 1]})
    for report in (result["from"], result["apply"]):
        assert "the soft weight 0.8 is not carried over: every connection has the weight 1" in report


BAD: dict[str, tuple[Rows, str]] = {
    "a length of no pack": (
        lambda net, name: [(net, IMAGE)],
        r"it has 2 values, expected \(net, .*of Easy-Use \(name, .*or of old Comfyroll \(net, image, strength\)",
    ),
    "a name of no file": (
        lambda net, name: [(name, IMAGE, 1.0), ("gone.safetensors", 1.0, 0.0, 1.0, 1.0, IMAGE, True)],
        "row 2 of the CONTROL_NET_STACK: There is no ControlNet file 'gone.safetensors'",
    ),
    "a row that nobody filled": (
        lambda net, name: [("None", 1.0, 0.0, 1.0, 1.0, IMAGE, True)],
        "row 1 .*starts with str, expected a CONTROL_NET or the name of .*'None' means that no file was chosen",
    ),
    "Easy-Use without an image": (
        lambda net, name: [(name, 1.0, 0.0, 1.0, 1.0, None, True)],
        "row 1 of the CONTROL_NET_STACK: image must be an IMAGE",
    ),
    "seven values in another order": (
        lambda net, name: [(net, IMAGE, 1.0, 0.0, 1.0, 1.0, True)],
        "row 1 of the CONTROL_NET_STACK: the strength is a tensor of the shape .*, expected a number",
    ),
    "a soft weight that is not a number": (
        lambda net, name: [(name, 1.0, 0.0, 1.0, None, IMAGE, True)],
        "row 1 of the CONTROL_NET_STACK: the soft weight is None, expected a number",
    ),
}


@pytest.mark.parametrize(("rows", "words"), BAD.values(), ids=BAD.keys())
def test_a_row_that_cannot_be_read_is_refused_with_its_number(host, graph_of, our_net, net_name, rows, words) -> None:
    with pytest.raises(NodeFailed, match=words):
        latents(host, from_rows(host, graph_of(), rows(our_net("narrow"), net_name)))


def test_the_report_says_which_packs_read_what_goes_out(host, our_net) -> None:
    graph = {"net": host.give(our_net("narrow")), "image": host.give(IMAGE)}
    graph["control"] = node("ZeroctlControl", control_net=["net", 0], image=["image", 0], **CONTROL)
    graph["to"] = node("ZeroctlStackToLegacy", stack=["control", 0])
    report = host.run(graph, keep={"report": ["to", 1]})["report"]
    assert report.splitlines()[0] == "control 1: complete"
    assert "Efficiency, Comfyroll, Art Venture and tinyterraNodes read them" in report
    assert "Easy-Use does not" in report
