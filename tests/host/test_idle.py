"""A control whose factor is 0 everywhere does not act: its node's policy decides before sampling, no network runs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from control_graphs import counted, latents, picture, with_our_control
from demo_graphs import EDGES, demo_graph
from host_graphs import Graph, node
from host_process import Host, NodeFailed
from PIL import Image

SIDE = 64
NOTHING = "0, " * 4 + "0"  # of the narrow nets


def weights_of(custom: str) -> dict[str, Any]:
    return node("ZeroctlWeights", rule="uniform", base="auto", custom=custom)


def curve_of(curve: str, unit: str = "timestep", start: float = 0.0) -> dict[str, Any]:
    return node("ZeroctlSchedule", start=start, end=1.0, unit=unit, curve=curve, interpolation="linear")


EVERYWHERE = "its mask is 0 everywhere; Load Image gives such a MASK for a picture without alpha"
IN_EVERY_RUN: dict[str, tuple[dict[str, Any], Any, str]] = {
    "a mask of zeros": ({"mask": ["it", 0]}, torch.zeros(1, SIDE, SIDE), EVERYWHERE),
    "masks of zeros at another size, feathered": (
        {"mask": ["it", 0], "mask_feather": 9.0, "strength": -2.0},
        torch.zeros(3, 7, 100),
        EVERYWHERE,
    ),
    "an inverted mask of ones": (
        {"mask": ["it", 0], "mask_invert": True},
        torch.ones(2, SIDE, SIDE),
        "its mask is 1 everywhere, and mask_invert makes that 0",
    ),
    "weights of zeros": ({"weights": ["it", 0]}, weights_of(NOTHING), r"its weights \(custom\) are 0 at every"),
    "a curve of zeros": ({"schedule": ["it", 0]}, curve_of("0@0, 0@1"), "its curve is 0 throughout its window, 0 to 1"),
    "a curve that is 0 in its window": (
        {"schedule": ["it", 0]},
        curve_of("1@0, 0@0.5", "steps", start=0.5),
        "its curve is 0 throughout its window, 0.5 to 1",
    ),
}


def with_it(
    host: Host, graph: Graph, net: Any, it: Any, policy: str = "warn", image: Any = None, **inputs: Any
) -> Graph:
    """The graph with one control whose mask, weights or schedule come from the node `it`, or are this tensor."""
    extra = {"it": host.give(it) if isinstance(it, torch.Tensor) else it}
    image = host.give(picture() if image is None else image)
    return with_our_control(graph, net, image, if_never_applied=policy, extra=extra, **inputs)


def outcome(host: Host, graph: Graph) -> tuple[torch.Tensor, str, list[str]]:
    """The latent, the report, and the texts of the notices of a run."""
    result = host.run(graph, keep={"latent": ["sampler", 0], "report": ["ours", 1]})
    return result["latent"]["samples"], result["report"], [notice["text"] for notice in result.sent("zeroctl.notice")]


@pytest.mark.parametrize(("inputs", "it", "cause"), IN_EVERY_RUN.values(), ids=IN_EVERY_RUN.keys())
@pytest.mark.parametrize("whose", ["ours", "foreign"])
def test_a_factor_of_0_in_every_run_is_said_before_sampling(
    host, graph_of, our_net, host_net, model_of, inputs, it, cause, whose
) -> None:
    plain, own = graph_of(), our_net("narrow")
    graphs = {
        policy: with_it(host, plain, host.give(own) if whose == "ours" else host_net("narrow"), it, policy, **inputs)
        for policy in ("warn", "error", "ignore")
    }
    expected = latents(host, plain)
    with counted(own.control_model.net) as calls, counted(model_of("narrow").model.diffusion_model) as of_unet:
        with pytest.raises(
            NodeFailed, match=f"NeverApplied: control 1 .* cannot act: {cause}.*if_never_applied to warn"
        ):
            latents(host, graphs["error"])
        assert not of_unet, "refused before sampling"
        warned, report, (text,) = outcome(host, graphs["warn"])
        ignored, _, notices = outcome(host, graphs["ignore"])
    assert torch.equal(warned, expected) and torch.equal(ignored, expected)
    assert not calls and not notices
    assert cause.split("\\")[0] in text and cause.split("\\")[0] in report and "Nothing can act" in report


def test_a_control_of_strength_0_was_told_not_to_act_whatever_its_mask_is(host, graph_of, our_net) -> None:
    plain = graph_of()
    for off in ({"strength": 0.0}, {"enabled": False}):
        graph = with_it(host, plain, host.give(our_net("narrow")), torch.zeros(1, 8, 8), "warn", mask=["it", 0], **off)
        samples, report, (text,) = outcome(host, graph)
        assert torch.equal(samples, latents(host, plain)) and "mask" not in text
        assert "Nothing can act: every control is switched off or has strength 0" in report


def all_off(host: Host, plain: Graph, net: Any, policy: str) -> dict[str, Graph]:
    """Graphs of which no control is left: each is off, bypassed (its link is gone), or there never was one."""
    graphs = {
        name: with_our_control(plain, net, host.give(picture()), if_never_applied=policy, **off)
        for name, off in (("off", {"enabled": False}), ("strength 0", {"strength": 0.0}))
    }
    one = graphs["off"]
    apply = {key: value for key, value in one["ours"]["inputs"].items() if key != "stack"}
    graphs["bypassed"] = {**one, "ours": node("ZeroctlApply", **apply)}
    rows = node("ZeroctlStack", **{f"enabled_{row}": True for row in range(1, 7)})
    graphs["no row"] = {**one, "rows": rows, "ours": node("ZeroctlApply", **apply, stack=["rows", 0])}
    legacy = {"old": host.give([]), "rows": node("ZeroctlStackFromLegacy", control_net_stack=["old", 0])}
    graphs["no old row"] = {**one, **legacy, "ours": node("ZeroctlApply", **apply, stack=["rows", 0])}
    return graphs


def test_with_all_controls_off_the_model_passes_and_it_is_said(host, graph_of, our_net) -> None:
    plain, net = graph_of(), host.give(our_net("narrow"))
    expected = latents(host, plain)
    for name, graph in all_off(host, plain, net, "warn").items():
        result = host.run(graph, keep={"model": ["ours", 0], "latent": ["sampler", 0], "report": ["ours", 1]})
        assert torch.equal(result["latent"]["samples"], expected), name
        assert result["model"] is host.run(plain, keep={"model": ["model", 0]})["model"], name
        (notice,) = result.sent("zeroctl.notice")
        why = "every control is switched off" if name in ("off", "strength 0") else "no control comes in at stack"
        assert why in notice["text"] and notice["text"].endswith("The MODEL passes unchanged."), name
        assert (notice["node"], notice["of_run"], notice["severity"]) == ("ours", False, "info"), name
        assert "Nothing can act" in result["report"], name


def test_with_all_controls_off_the_node_decides(host, graph_of, our_net) -> None:
    plain, net = graph_of(), host.give(our_net("narrow"))
    for name, graph in all_off(host, plain, net, "ignore").items():
        assert not outcome(host, graph)[2], name
    for name, graph in all_off(host, plain, net, "error").items():
        why = "every control is switched off" if name in ("off", "strength 0") else "no control comes in at stack"
        with pytest.raises(NodeFailed, match=f"NeverApplied: {why}.*or set if_never_applied to warn") as caught:
            latents(host, graph)
        assert caught.value.node_id == "ours", name


def test_one_control_that_is_off_beside_another_is_not_said(host, graph_of, our_net) -> None:
    net = host.give(our_net("narrow"))
    graph = with_our_control(graph_of(), net, host.give(picture()), if_never_applied="error")
    off = {**graph["ours control"]["inputs"], "enabled": False, "stack": ["ours control", 0]}
    graph["second"] = node("ZeroctlControl", **off)
    graph["ours"]["inputs"]["stack"] = ["second", 0]
    assert not outcome(host, graph)[2]


def left_half() -> torch.Tensor:
    mask = torch.zeros(1, SIDE, 4 * SIDE)
    mask[..., :SIDE] = 1.0
    return mask


IN_THIS_RUN = {
    "cut away by crop": (left_half(), picture(SIDE, 4 * SIDE), "resize crop cuts away. Set resize to fit or stretch"),
    "masks of other latents": (
        torch.stack([torch.zeros(SIDE, SIDE), torch.ones(SIDE, SIDE)]),
        picture(),
        "of its 2 masks, those for the 1 latent of this run are 0 everywhere",
    ),
}


def test_a_mask_that_is_as_good_as_0_is_said(host, graph_of, our_net) -> None:
    """One pixel of a large mask, brought to the run's pixels; and values that no picture shows."""
    speck = torch.zeros(1, 32 * SIDE, 32 * SIDE)
    speck[0, 100, 100] = 1.0
    for mask, highest in ((speck, 1 / 32**2), (torch.full((1, SIDE, SIDE), 0.003), 0.003)):
        graph = with_it(host, graph_of(), host.give(our_net("narrow")), mask, "warn", mask=["it", 0])
        _, _, texts = outcome(host, graph)
        assert [f"nowhere above {highest:.2g} on the" in text for text in texts] == [True]


@pytest.mark.parametrize(("mask", "image", "cause"), IN_THIS_RUN.values(), ids=IN_THIS_RUN.keys())
def test_a_factor_of_0_on_this_canvas_is_said_before_the_first_step(
    host, graph_of, our_net, model_of, mask, image, cause
) -> None:
    plain, net = graph_of(), our_net("narrow")
    graphs = {
        policy: with_it(host, plain, host.give(net), mask, policy, image=image, mask=["it", 0])
        for policy in ("warn", "error", "ignore")
    }
    expected = latents(host, plain)
    with counted(net.control_model.net) as calls, counted(model_of("narrow").model.diffusion_model) as of_unet:
        with pytest.raises(NodeFailed, match=f"NeverApplied: control 1 .* cannot act: .*{cause}"):
            latents(host, graphs["error"])
        assert not of_unet
        warned, _, texts = outcome(host, graphs["warn"])
        ignored, _, others = outcome(host, graphs["ignore"])
    assert torch.equal(warned, expected) and torch.equal(ignored, expected) and not calls
    assert [cause in text for text in texts if "cannot act" in text] == [True]
    assert not any("never acted" in text or "cannot act" in text for text in others)
    two = {**graphs["error"], "latent": node("EmptyLatentImage", width=64, height=64, batch_size=2)}
    if "masks" in cause:
        with counted(net.control_model.net) as calls:
            latents(host, two)
        assert calls == [2, 2], "of four rows those of the second latent"


def test_an_area_that_misses_the_mask_is_said_after_the_run(host, graph_of, our_net) -> None:
    """Where conditionings act is known while sampling."""
    mask, net = torch.zeros(1, 2 * SIDE, 2 * SIDE), our_net("narrow")
    mask[..., SIDE:] = 1.0
    plain = graph_of(cfg=1.0, size=2 * SIDE)
    plain["area"] = node(
        "ConditioningSetArea", conditioning=["positive", 0], width=SIDE, height=2 * SIDE, x=0, y=0, strength=1.0
    )
    plain["sampler"]["inputs"]["positive"] = ["area", 0]
    graph = with_it(host, plain, host.give(net), mask, "warn", mask=["it", 0])
    with counted(net.control_model.net) as calls:
        samples, _, (text,) = outcome(host, graph)
    assert not calls and torch.equal(samples, latents(host, plain))
    assert "never acted in this run" in text and "its mask is 0 in every area that was sampled" in text
    graph["area"]["inputs"]["x"] = SIDE
    assert not outcome(host, graph)[2]


def test_the_mask_of_load_image_through_the_server(server) -> None:
    Image.new("RGB", (128, 128), (200, 40, 40)).save(server.base / "input" / "plain.png")
    graph = {
        **demo_graph(),
        "decode": node("VAEDecode", samples=["sampler", 0], vae=["demo", 2]),
        "save": node("SaveImage", images=["decode", 0], filename_prefix="zeroctl"),
    }
    load = node("LoadImage", image="plain.png")

    def controlled(policy: str, **inputs: Any) -> Graph:
        return with_our_control(graph, EDGES, load, if_never_applied=policy, **inputs)

    def pixels(prompt: Graph) -> bytes:
        (image,) = server.images(server.run(prompt), "save")
        return bytes(image.tobytes())

    plain, masked = pixels(graph), {"mask": ["ours image", 1]}
    with pytest.raises(NodeFailed, match=f"NeverApplied: control 1 .* cannot act: {EVERYWHERE}"):
        server.run(controlled("error", **masked))
    before = server.log().count(EVERYWHERE)
    assert pixels(controlled("ignore", **masked)) == plain
    assert server.log().count(EVERYWHERE) == before
    assert pixels(controlled("warn", **masked)) == plain
    assert server.log().count(EVERYWHERE) == before + 1
    assert pixels(controlled("error")) != plain
