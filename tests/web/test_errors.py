"""What a person does wrong: the message stands whole on the node that is to be mended, in two seconds, and in a toast
with the node's title."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from web_graphs import SDXL_FILE, graph, separate

TOAST = ".p-toast-message, [data-testid=toast]"


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def with_controlnet(**inputs: Any) -> dict[str, Any]:
    nodes = graph()
    nodes["5"]["inputs"] |= inputs
    return nodes


def with_weights(custom: str) -> dict[str, Any]:
    nodes = separate(weights=["19", 0])
    return nodes | {"19": node("ZeroctlWeights", rule="uniform", base="auto", custom=custom)}


def with_curve(curve: str) -> dict[str, Any]:
    nodes = separate(schedule=["19", 0])
    values = {"start": 0, "end": 1, "unit": "timestep", "curve": curve, "interpolation": "linear", "steps": 0}
    return nodes | {"19": node("ZeroctlSchedule", **values)}


def with_empty_stack() -> dict[str, Any]:
    nodes = separate()
    nodes["15"]["inputs"]["stack"] = ["19", 0]
    return nodes | {"19": node("ZeroctlStack", **{f"enabled_{row}": True for row in range(1, 7)})}


def with_alpha() -> dict[str, Any]:
    nodes = with_controlnet(annotator="none", image=["19", 0])
    return nodes | {"19": node("JoinImageWithAlpha", image=["2", 0], alpha=["2", 1])}


# name -> the graph, the node that says it, the beginning of what it says and the end
CASES: dict[str, tuple[Callable[[], dict[str, Any]], str, str, str]] = {
    "a net of another family": (
        lambda: with_controlnet(control_net_name=SDXL_FILE),
        "ZeroctlControlNet",
        f"control 1: {SDXL_FILE} is a control for SDXL",
        "or a checkpoint of the family SDXL.",
    ),
    "a stack with nothing": (
        with_empty_stack,
        "ZeroctlApply",
        "no control comes in at stack",
        "The MODEL passes unchanged.",
    ),
    "missing weights": (
        lambda: with_controlnet(annotator="softedge"),
        "ZeroctlControlNet",
        "ControlNetHED.pth",
        "download",
    ),
    "bad custom text": (
        lambda: with_weights("1, 2, x"),
        "ZeroctlWeights",
        "custom weights: 'x' is not a number at place 3",
        "such as 1, 0.5, 0.25",
    ),
    "three weights": (
        lambda: with_weights("1, 2, 3"),
        "ZeroctlWeights",
        "zeroctl/edges, a control for zeroctl tiny: expected 13 numbers as custom weights",
        "got 3",
    ),
    "junk in a curve": (lambda: with_curve("abc"), "ZeroctlSchedule", "curve", "abc"),
    "a picture with alpha": (
        with_alpha,
        "ZeroctlControlNet",
        "image has 4 channels (with alpha)",
        "Lay it over a background before it comes here.",
    ),
}


@pytest.mark.parametrize(("make", "kind", "begin", "end"), CASES.values(), ids=CASES.keys())
def test_the_node_to_mend_says_what_is_wrong(
    canvas: Any, make: Callable[[], dict[str, Any]], kind: str, begin: str, end: str
) -> None:
    canvas.open(make())
    canvas.run()
    text = canvas.wait_for(kind, begin)
    assert end in text[text.index(begin) :]
    assert canvas.cut(kind) == []
    title = canvas.page.evaluate("kind => app.graph.nodes.find(n => n.type === kind).title", kind)
    toast = canvas.page.locator(TOAST).filter(has_text=begin).first
    toast.wait_for()
    assert title in toast.inner_text() or kind == "ZeroctlApply"
    canvas.frontend.picture(f"error-{begin.split()[0].strip(':').replace('/', '-')}")
