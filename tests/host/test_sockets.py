"""Every input of every node refuses what it cannot carry, by its name, whether it stands in the graph or on a link."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from host_graphs import Graph, node
from host_process import Host, NodeFailed, PromptRefused

ROOT = Path(__file__).resolve().parents[2]
NODES = list(json.loads(Path(__file__).with_name("object_info.json").read_text()))
WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}

WRONG: dict[str, Any] = {
    "a text": "canny",
    "a number": 5,
    "a dict": {"a": 1},
    "a list": [1, "a", None],
    "None": None,
    "a socket of another pack": object(),
    "a picture without a batch of colours": torch.zeros(3),
}
RIGHT_HERE = {
    "INT": {"a number"},
    "FLOAT": {"a number"},
    "STRING": {"a text"},
    "COMBO": {"a text"},
    "CONTROL_NET": {"None"},
    "CONTROL_NET_STACK": {"None", "a list"},
    "POSE_KEYPOINT": {"a dict", "a list", "a picture without a batch of colours"},
    "BOUNDING_BOX": {"a dict", "a list", "a picture without a batch of colours"},
    "IMAGE": {"a picture without a batch of colours"},
    "MASK": {"a picture without a batch of colours"},
}
"""What the input's own check looks into, or what is right."""
MADE_OVER_BY_THE_HOST = {
    "STRING": {"a number", "a dict", "a list", "None"},
    "BOOLEAN": {"a text", "a number", "a dict", "a list", "None"},
}
"""It makes a text of everything that stands in the graph, and true or false."""


def filled(host: Host, inputs: list[Any]) -> Graph:
    """A node's inputs filled in with what passes the check, links from nodes of their own; optional ones stay empty."""
    units = sys.modules[f"{host.pack_module(ROOT).__name__}.nodes.host.units"]
    right = {
        "MODEL": SimpleNamespace(get_model_object=None),
        "CONTROL_NET": SimpleNamespace(get_control=None),
        "CLIP": SimpleNamespace(tokenize=None),
        "VAE": SimpleNamespace(encode=None, decode=None),
        "ZEROCTL_TRAINING_DATA": SimpleNamespace(folder=None, index=None),
        "IMAGE": torch.zeros(1, 8, 8, 3),
        "MASK": torch.zeros(1, 8, 8),
        "ZEROCTL_STACK": (units.Unit(control_net=None, image=torch.zeros(1, 3, 8, 8)),),
        "CONTROL_NET_STACK": [],
        "POSE_KEYPOINT": [],
    }
    values: Graph = {"node": {"inputs": {}}}
    for entry in inputs:
        if entry.optional:
            continue
        if entry.get_io_type() in right:
            values[f"give {entry.id}"] = host.give(right[entry.get_io_type()])
            values["node"]["inputs"][entry.id] = [f"give {entry.id}", 0]
        elif entry.get_io_type() == "COMBO":
            values["node"]["inputs"][entry.id] = entry.default or (entry.options or ["none"])[0]
        else:
            values["node"]["inputs"][entry.id] = entry.default
    return values


def refusal(host: Host, graph: Graph) -> str:
    with pytest.raises((NodeFailed, PromptRefused)) as caught:
        host.run(graph, keep={"last": ["node", 0]})
    return str(caught.value)


@pytest.mark.parametrize("node_id", NODES)
def test_every_input_refuses_what_it_cannot_carry(host: Host, node_id: str) -> None:
    inputs = host.nodes.NODE_CLASS_MAPPINGS[node_id].GET_SCHEMA().inputs or []
    for entry in inputs:
        kind, right = entry.get_io_type(), filled(host, inputs)
        for name, value in WRONG.items():
            if name in RIGHT_HERE.get(kind, ()) or (value is None and entry.optional):
                continue
            linked = {**right, "wrong": host.give(value), "node": node(node_id, **right["node"]["inputs"])}
            linked["node"]["inputs"][entry.id] = ["wrong", 0]
            words = refusal(host, linked)
            assert f"node ({node_id}): ValueError: {entry.id} is " in words and ", expected " in words, words
            if not isinstance(value, (str, int, dict, list, type(None))) or name in MADE_OVER_BY_THE_HOST.get(kind, ()):
                continue
            # a list in a graph is a link, unless it says that it is a value
            constant = {**right, "node": node(node_id, **right["node"]["inputs"])}
            constant["node"]["inputs"][entry.id] = {"__value__": value} if isinstance(value, list) else value
            words = refusal(host, constant)
            if "ValueError" not in words:  # the host's own check, of numbers and, on newer hosts, of choices
                assert kind in WIDGETS and ("Failed to convert" in words or "Value not in list" in words), words
                assert entry.id in words
            else:
                assert f"node ({node_id}): ValueError: {entry.id} is " in words and ", expected " in words, words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("x" * 10**7, "'" + "x" * 99 + "…'"),
        ("a\0b\ud800", "'a?b?'"),
        (10**5000, "of the type int"),
        (torch.zeros(2, 8), "a tensor of the shape (2, 8)"),
        (float("nan"), "nan"),
        ({"a": 1}, "of the type dict"),
    ],
    ids=["10 MB", "not printable", "5000 digits", "tensor", "nan", "dict"],
)
def test_what_was_given_is_said_short(host: Host, value: Any, words: str) -> None:
    sockets = sys.modules[f"{host.pack_module(ROOT).__name__}.nodes.host.sockets"]
    assert sockets.in_words(value) == words


@pytest.mark.parametrize("value", [512, 512.0, True])
def test_a_whole_number_of_any_type_passes(host: Host, value: Any) -> None:
    sockets = sys.modules[f"{host.pack_module(ROOT).__name__}.nodes.host.sockets"]
    entry = SimpleNamespace(id="seed", optional=False, get_io_type=lambda: "INT")
    sockets.check_inputs([entry], {"seed": value})
    for wrong in (512.5, float("inf"), "512"):
        with pytest.raises(ValueError, match="seed is .*, expected a whole number"):
            sockets.check_inputs([entry], {"seed": wrong})


@pytest.mark.parametrize("node_id", NODES)
def test_no_message_repeats_10_mb(host: Host, node_id: str) -> None:
    """By a link, which the host does not look into."""
    inputs = host.nodes.NODE_CLASS_MAPPINGS[node_id].GET_SCHEMA().inputs or []
    for entry in inputs:
        if entry.get_io_type() in ("STRING", "COMBO"):
            right = filled(host, inputs)
            graph = {**right, "wrong": host.give("x@\n" * 3_000_000), "node": node(node_id, **right["node"]["inputs"])}
            graph["node"]["inputs"][entry.id] = ["wrong", 0]
            words = refusal(host, graph)
            assert f"node ({node_id}): " in words and "Error" in words and len(words) < 1500, words[:3000]


def test_where_a_node_takes_lists_each_value_is_checked(host: Host) -> None:
    sockets = sys.modules[f"{host.pack_module(ROOT).__name__}.nodes.host.sockets"]
    entry = SimpleNamespace(id="images", optional=True, get_io_type=lambda: "IMAGE")
    for values in ({}, {"images": []}, {"images": [torch.zeros(1), None, torch.zeros(1)]}):
        sockets.check_inputs([entry], values, as_lists=True)
    with pytest.raises(ValueError, match="images is 'a', expected an IMAGE"):
        sockets.check_inputs([entry], {"images": [torch.zeros(1), "a"]}, as_lists=True)
