"""A list that another pack adds to in place is handed out anew in the next run, and no other list is."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from control_graphs import CONTROL, picture
from host_graphs import Graph, node
from host_process import Host


class InPlace:
    """A stacker as Efficiency's and Art Venture's: adds its row to the list that it is given, and returns that."""

    RETURN_TYPES = ("CONTROL_NET_STACK",)
    FUNCTION = "add"
    CATEGORY = "bench"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"rows": ("CONTROL_NET_STACK",), "strength": ("FLOAT", {"default": 1.0})}}

    def add(self, rows: list[Any], strength: float) -> tuple[list[Any]]:
        rows.extend([("net", "image", strength, 0.0, 1.0)])
        return (rows,)


@pytest.fixture
def stacked(host: Host, our_net: Any, monkeypatch: pytest.MonkeyPatch) -> Graph:
    """Our control as a plain list, once for a stacker and once for nobody."""
    monkeypatch.setitem(host.nodes.NODE_CLASS_MAPPINGS, "InPlace", InPlace)
    graph = {"net": host.give(our_net("narrow")), "image": host.give(picture())}
    graph["control"] = node("ZeroctlControl", control_net=["net", 0], image=["image", 0], **CONTROL)
    graph["to"] = node("ZeroctlStackToLegacy", stack=["control", 0])
    # of another control: two nodes with the same inputs share one output in the host's cache
    weaker = node("ZeroctlControl", control_net=["net", 0], image=["image", 0], **{**CONTROL, "strength": 0.3})
    graph |= {"weaker": weaker, "other": node("ZeroctlStackToLegacy", stack=["weaker", 0])}
    graph["stacker"] = node("InPlace", rows=["to", 0], strength=0.5)
    return graph


def run(host: Host, graph: Graph, strength: float) -> tuple[Any, list[str]]:
    graph = copy.copy(graph)
    graph["stacker"] = node("InPlace", rows=["to", 0], strength=strength)
    result = host.run(graph, keep={"rows": ["stacker", 0], "other": ["other", 0]}, fresh=False)
    # a node that did not run again keeps nothing
    assert isinstance(result["rows"], list) and len(result.values.get("other", [0])) == 1
    return list(result["rows"]), result.executed


def test_our_list_does_not_grow_from_run_to_run(host, stacked) -> None:
    lengths, others = [], []
    for strength in (0.1, 0.2, 0.2, 0.3):
        rows, executed = run(host, stacked, strength)
        lengths.append(len(rows))
        others.append("other" in executed)
        assert rows[-1][2] == strength
    assert lengths == [2, 2, 2, 2]
    assert others == [True, False, False, False], "a list that nobody changed stays, and what was made from it"


def test_without_the_stacker_the_next_run_has_our_controls_alone(host, stacked) -> None:
    run(host, stacked, 0.1)
    alone = {name: stacked[name] for name in ("net", "image", "control", "to")}
    assert len(host.run(alone, keep={"rows": ["to", 0]}, fresh=False)["rows"]) == 1
