"""What `/object_info` says of our nodes, against the committed snapshot: workflows depend on names and order.

After a wanted change: `ZEROCTL_WRITE_SNAPSHOT=1 python tests/host/run.py -k snapshot`, and look at the difference.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from host_server import HostServer

SNAPSHOT = Path(__file__).with_name("object_info.json")
# What every supported host tells; the other fields (search aliases, price badges) are known to newer ones only.
TOLD_BY_ALL = (
    "input",
    "input_order",
    "output",
    "output_is_list",
    "output_name",
    "output_tooltips",
    "name",
    "display_name",
    "description",
    "category",
    "output_node",
    "deprecated",
    "experimental",
)
FILES_OF_THIS_MACHINE = {
    ("ZeroctlControlNet", "control_net_name"),
    ("ZeroctlLoadControlNet", "control_net_name"),
    ("ZeroctlDepth", "model"),
    ("ZeroctlSegment", "model"),
    ("ZeroctlPose", "detector"),
    ("ZeroctlPose", "estimator"),
}


@pytest.fixture(scope="module")
def object_info(server: HostServer) -> dict[str, Any]:
    """Our nodes as this host describes them, cut down to what all hosts tell."""
    everything = server.get("/object_info")
    ours = {node_id: everything[node_id] for node_id in everything if node_id.startswith("Zeroctl")}
    for node_id, name in FILES_OF_THIS_MACHINE:
        _all_inputs(ours[node_id])[name][1]["options"] = []
    for options in (spec[1] for node in ours.values() for spec in _all_inputs(node).values() if len(spec) > 1):
        options.pop("zeroctl_absent", None)  # what is not on this machine
        if "advanced" in options:
            options["advanced"] = options.pop("advanced")  # last, as older hosts have what they do not know
    return {node_id: {field: ours[node_id][field] for field in TOLD_BY_ALL} for node_id in sorted(ours)}


def _all_inputs(node: dict[str, Any]) -> dict[str, Any]:
    return {**node["input"].get("required", {}), **node["input"].get("optional", {})}


def test_the_nodes_are_those_of_the_snapshot(object_info: dict[str, Any]) -> None:
    if os.environ.get("ZEROCTL_WRITE_SNAPSHOT"):
        aside = SNAPSHOT.with_suffix(f".{os.getpid()}")
        aside.write_text(json.dumps(object_info, indent=1) + "\n")
        aside.replace(SNAPSHOT)  # another host may read it at the same time
    committed = json.loads(SNAPSHOT.read_text())
    assert list(object_info) == list(committed)
    for node_id, node in object_info.items():
        # as text: the order of inputs is part of the contract, and two dicts compare without it
        assert json.dumps(node, indent=1) == json.dumps(committed[node_id], indent=1)


def test_every_input_and_output_has_a_tooltip(object_info: dict[str, Any]) -> None:
    silent = [
        f"{node_id}.{name}"
        for node_id, node in object_info.items()
        for name, spec in _all_inputs(node).items()
        if len(spec) < 2 or not spec[1].get("tooltip")
    ]
    silent += [
        f"{node_id} -> {name}"
        for node_id, node in object_info.items()
        for name, tooltip in zip(node["output_name"], node["output_tooltips"], strict=True)
        if not tooltip
    ]
    assert not silent


def test_every_node_describes_itself_and_sits_below_our_name(object_info: dict[str, Any]) -> None:
    for node_id, node in object_info.items():
        assert node["description"] and node["display_name"] != node_id, node_id
        assert node["category"].startswith("zeroctl/") or node_id == "ZeroctlControlNet", node_id
    assert object_info["ZeroctlControlNet"]["category"] == "zeroctl"


def test_every_widget_has_a_default(object_info: dict[str, Any]) -> None:
    """Saved widget values are positional: required ones first, then optional ones, which are those of later versions.
    A workflow saved before them leaves them at their defaults."""
    widgets = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
    for node_id, node in object_info.items():
        for name, spec in _all_inputs(node).items():
            if spec[0] in widgets and (node_id, name) not in FILES_OF_THIS_MACHINE:
                assert "default" in spec[1], f"{node_id}.{name}"
