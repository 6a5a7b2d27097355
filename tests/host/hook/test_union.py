"""A union ControlNet of our loader: equal to the host's in both Applies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from control_graphs import (
    CLOSE,
    counted,
    largest_difference,
    latents,
    picture,
    with_host_control,
    with_our_control,
)
from host_graphs import Graph, node
from host_models import filled
from host_process import Host, NodeFailed
from random_weights import SPECS, random_controlnet, random_state_dict, union_shapes
from safetensors.torch import save_file
from torch import Tensor, nn

from zeroctl_core.checkpoint.layouts import to_diffusers
from zeroctl_core.network.union_controlnet import UNION_TYPES

FELT = 1e-3  # by what a control moves them at least


def network_of_the_host(n_types: int) -> nn.Module:
    """The host's union network for a thin SDXL, with random weights; it makes them for 320 channels alone."""
    import comfy.cldm.cldm
    import comfy.model_detection

    weights = random_controlnet("thinxl", spread=0.1)
    config = comfy.model_detection.model_config_from_unet(weights, "", True).unet_config
    config.pop("out_channels")
    network = comfy.cldm.cldm.ControlNet(
        **config, hint_channels=3, dtype=torch.float32, union_controlnet_num_control_type=n_types
    )
    filled(network).load_state_dict(weights, strict=False)
    return network


@pytest.fixture(scope="session")
def nets(host: Host) -> tuple[Any, Any]:
    """One union net of six types, as the host's and as ours from a file of the same weights."""
    import comfy.controlnet
    import comfy.model_management

    with torch.inference_mode():
        network = network_of_the_host(6)
        theirs = comfy.controlnet.ControlNet(network, load_device=comfy.model_management.get_torch_device())
        path: Path = host.base / "models" / "controlnet" / "union-thinxl.safetensors"
        state = {key.replace(".in_proj.", ".in_proj_"): value for key, value in network.state_dict().items()}
        save_file(state, path)
        graph = {"net": node("ZeroctlLoadControlNet", control_net_name=path.name)}
        result = host.run(graph, keep={"net": ["net", 0], "info": ["net", 1]})
    assert "types: 6 of a union (openpose, depth," in result["info"]
    return theirs, result["net"]


Typed = Callable[[Any, str], Graph]


@pytest.fixture()
def typed(host: Host, graph_of: Callable[..., Graph]) -> Typed:
    """`typed(net, type)`: a graph on its MODEL with Set Union ControlNet Type on that net, at `net`."""
    return lambda net, kind: {
        **graph_of("thinxl"),
        "union": host.give(net),
        "net": node("SetUnionControlNetType", control_net=["union", 0], type=kind),
    }


def test_a_type_equals_the_hosts_in_both_applies(host, nets, typed) -> None:
    theirs, ours = nets
    image, results = host.give(picture()), []
    for kind in ("auto", "depth"):
        expected = latents(
            host, with_host_control(typed(theirs, kind), typed(theirs, kind)["net"], image, strength=0.8)
        )
        graph = typed(ours, kind)
        for apply in (with_host_control, with_our_control):
            assert largest_difference(expected, latents(host, apply(graph, graph["net"], image, strength=0.8))) <= CLOSE
        results.append(expected)
    assert largest_difference(*results) > FELT


def test_a_type_that_the_net_does_not_have_is_refused_before_sampling(host, nets, typed) -> None:
    graph = typed(nets[1], "repaint")
    with pytest.raises(NodeFailed, match=r"^ours .*control 1: the type 7 \(repaint\) is not one of the 6 .*ProMax"):
        latents(host, with_our_control(graph, graph["net"], host.give(picture())))


# ---- several types on one control


@pytest.fixture(scope="session")
def narrow(host: Host) -> Any:
    """A union net of eight types for a narrow SDXL, from a file in the layout of diffusers."""
    path = host.base / "models" / "controlnet" / "union-narrowxl.safetensors"
    state = random_state_dict(union_shapes("narrowxl", 8), seed=4, spread=0.1)
    save_file(to_diffusers(state, SPECS["narrowxl"].num_res_blocks), path)
    graph = {"net": node("ZeroctlLoadControlNet", control_net_name=path.name)}
    return host.run(graph, keep={"net": ["net", 0]})["net"]


def rows(host: Host, *conditions: tuple[str, float, Tensor | None]) -> dict[str, Any]:
    """What `with_our_control` takes for these conditions, chained: type, strength, and an image of their own."""
    extra: Graph = {}
    for place, (kind, strength, image) in enumerate(conditions):
        inputs: dict[str, Any] = {"union": [f"row {place - 1}", 0]} if place else {}
        if image is not None:
            extra[f"image {place}"] = host.give(image)
            inputs["image"] = [f"image {place}", 0]
        extra[f"row {place}"] = node("ZeroctlUnionCondition", union_type=kind, strength=strength, **inputs)
    return {"extra": extra, "union": [f"row {len(conditions) - 1}", 0]}


CANNY = "canny/lineart/anime_lineart/mlsd"


def test_a_union_condition_without_an_image_types_that_of_the_control(host, narrow, graph_of) -> None:
    graph, image = graph_of("narrowxl"), host.give(picture())
    typed = {**graph, "union": host.give(narrow)}
    set_type = node("SetUnionControlNetType", control_net=["union", 0], type="depth")
    by_set_type = latents(host, with_our_control(typed, set_type, image, strength=0.6))
    for conditions in ([("depth", 0.6, None)], [("depth", 0.6, None), ("openpose", 0.0, picture(seed=1))]):
        by_row = latents(host, with_our_control(graph, host.give(narrow), image, **rows(host, *conditions)))
        assert largest_difference(by_set_type, by_row) <= CLOSE
    assert largest_difference(by_set_type, latents(host, with_our_control(graph, host.give(narrow), image))) > FELT


def test_three_types_are_one_run_of_the_net_on_the_rows_that_see_it(host, narrow, graph_of) -> None:
    graph, (one, two, three) = graph_of("narrowxl"), (picture(seed=seed) for seed in range(3))
    conditions = [("depth", 0.7, None), ("openpose", 1.2, two), (CANNY, 1.0, three)]
    with counted(narrow.control_model.net) as calls:
        first = latents(
            host,
            with_our_control(graph, host.give(narrow), host.give(one), branches="cond", **rows(host, *conditions)),
        )
    assert calls == [1, 1]  # a step each, one row
    rotation = [(CANNY, 1.0, None), ("depth", 0.7, one), ("openpose", 1.2, two)]
    second = with_our_control(graph, host.give(narrow), host.give(three), branches="cond", **rows(host, *rotation))
    assert largest_difference(first, latents(host, second)) <= CLOSE
    exchange = [("depth", 0.7, None), ("openpose", 1.2, three), (CANNY, 1.0, two)]
    third = with_our_control(graph, host.give(narrow), host.give(one), branches="cond", **rows(host, *exchange))
    assert largest_difference(first, latents(host, third)) > FELT / 10


def test_each_latent_of_a_batch_has_its_images_of_every_type(host, narrow, graph_of) -> None:
    graph, pose = graph_of("narrowxl", batch=2), picture(seed=5)
    both, results = picture(batch=2), []
    for image in (both, both[:1], both[1:]):
        conditions = rows(host, ("depth", 1.0, None), ("openpose", 1.0, pose))
        results.append(latents(host, with_our_control(graph, host.give(narrow), host.give(image), **conditions)))
    for row in (0, 1):
        assert largest_difference(results[0][row], results[1 + row][row]) <= CLOSE
    assert largest_difference(results[0][1], results[1][1]) > FELT


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ([("depth", 1.0, picture())], "1 Union Condition with an image of its own, and nobody tells the type"),
        ([("depth", 1.0, None), ("normal", 1.0, None)], "2 types are told for the image of ControlNet Control"),
        ([("depth", 1.0, None), ("depth", 1.0, picture())], r"the types are \(1, 1\); give each condition another"),
        ([("depth", 0.0, None)], "every Union Condition has strength 0"),
    ],
)
def test_conditions_that_mean_nothing_are_refused(host, narrow, graph_of, conditions, message) -> None:
    graph = with_our_control(graph_of("narrowxl"), host.give(narrow), host.give(picture()), **rows(host, *conditions))
    with pytest.raises(NodeFailed, match=f"^ours .*control 1: {message}"):
        latents(host, graph)


def test_types_of_a_plain_net_are_refused(host, our_net, graph_of) -> None:
    graph = with_our_control(
        graph_of("narrowxl"), host.give(our_net("narrowxl")), host.give(picture()), **rows(host, ("depth", 1.0, None))
    )
    with pytest.raises(NodeFailed, match="control 1: a Union Condition is connected, and the net is not a union"):
        latents(host, graph)


def test_the_report_names_the_types_and_a_hole_to_repaint_is_black(host, narrow, graph_of) -> None:
    hole = picture()
    hole[:, :16] = -1.0
    conditions = rows(host, ("depth", 1.0, None), ("repaint", 0.5, hole))
    graph = with_our_control(graph_of("narrowxl"), host.give(narrow), host.give(picture()), **conditions)
    result = host.run(graph, keep={"union": ["row 1", 0], "report": ["ours", 1]})
    repaint = result["union"][1].image
    assert torch.equal(repaint, hole.clamp(min=0.0).movedim(-1, 1))
    assert "types of a union, with their strengths, in one run of the net: depth (1), repaint (0.5)" in result["report"]


# ---- the node that does it all


@pytest.mark.parametrize(("annotator", "number"), [("canny", 3), ("tile", 6), ("inpaint", 7), ("color", None)])
def test_the_node_controlnet_tells_a_union_what_its_annotator_draws(
    host, narrow, graph_of, our_net, controlnet_file, annotator, number
) -> None:
    graph = graph_of("narrowxl")
    graph["image"] = host.give(picture(96, 64))
    graph["mask"] = host.give(torch.ones(1, 96, 64))
    values = {
        "enabled": True,
        "annotator": annotator,
        "strength": 1.0,
        "start": 0.0,
        "end": 1.0,
        "mode": "balanced",
        "resize": "crop",
        "settings": "{}",
        "mask": ["mask", 0],
    }
    reports = []
    for name in (narrow.control_model.net.info.path.name, controlnet_file("narrowxl", 0, torch.float32).name):
        graph["cn"] = node("ZeroctlControlNet", model=["model", 0], image=["image", 0], control_net_name=name, **values)
        reports.append(host.run(graph, keep={"report": ["cn", 2]})["report"])
    typed = "none told (auto)" if number is None else f"{UNION_TYPES[number]} (1)"
    assert f"in one run of the net: {typed}" in reports[0]
    assert "types of a union" not in reports[1]


# ---- what every kind of control does


def two_types(host: Host) -> dict[str, Any]:
    return rows(host, ("depth", 0.7, None), ("openpose", 1.2, picture(seed=1)))


def with_more(inputs: dict[str, Any], extra: Graph, **more: Any) -> dict[str, Any]:
    return {**inputs, **more, "extra": {**inputs["extra"], **extra}}


def test_off_strength_0_a_mask_of_zeros_and_weights_of_zeros_are_no_control(host, narrow, graph_of) -> None:
    graph, inputs = graph_of("narrowxl"), two_types(host)
    plain = latents(host, graph)
    zeros = node("ZeroctlWeights", rule="uniform", base="auto", custom="0, 0, 0, 0, 0")
    for case in (
        {**inputs, "strength": 0.0},
        {**inputs, "enabled": False},
        with_more(inputs, {"mask": host.give(torch.zeros(1, 64, 64))}, mask=["mask", 0]),
        with_more(inputs, {"weights": zeros}, weights=["weights", 0]),
    ):
        result = latents(host, with_our_control(graph, host.give(narrow), host.give(picture()), **case))
        assert torch.equal(plain, result)


def test_a_mask_of_ones_and_weights_of_ones_change_nothing(host, narrow, graph_of) -> None:
    graph, inputs, image = graph_of("narrowxl"), two_types(host), host.give(picture())
    whole = latents(host, with_our_control(graph, host.give(narrow), image, **inputs))
    ones = node("ZeroctlWeights", rule="uniform", base="auto", custom="1, 1, 1, 1, 1")
    for case in (
        with_more(inputs, {"mask": host.give(torch.ones(1, 64, 64))}, mask=["mask", 0]),
        with_more(inputs, {"weights": ones}, weights=["weights", 0]),
    ):
        result = latents(host, with_our_control(graph, host.give(narrow), image, **case))
        assert largest_difference(whole, result) <= CLOSE
    assert largest_difference(whole, latents(host, graph)) > FELT


def test_cond_only_and_a_window_equal_the_hosts_apply_of_one_type(host, narrow, graph_of) -> None:
    graph, image = graph_of("narrowxl", steps=3), host.give(picture())
    typed = {
        **graph,
        "union": host.give(narrow),
        "net": node("SetUnionControlNetType", control_net=["union", 0], type="depth"),
    }
    window = {"strength": 0.8, "start_percent": 0.0, "end_percent": 0.6}
    expected = latents(host, with_host_control(typed, typed["net"], image, negative=False, **window))
    inputs = {**rows(host, ("depth", 0.8, None)), "end": 0.6, "branches": "cond"}
    assert (
        largest_difference(expected, latents(host, with_our_control(graph, host.give(narrow), image, **inputs)))
        <= CLOSE
    )


def test_areas_see_their_crop_of_every_image(host, narrow, graph_of) -> None:
    """Outside of the left area nothing of either image is seen: other pixels there change nothing."""
    graph = graph_of("narrowxl", size=128)
    area = node("ConditioningSetArea", conditioning=["positive", 0], width=64, height=128, x=0, y=0, strength=1.0)
    sampler = graph["sampler"]
    graph = {**graph, "area": area, "sampler": {**sampler, "inputs": {**sampler["inputs"], "positive": ["area", 0]}}}
    one, two = picture(128, 128), picture(128, 128, seed=1)
    results = []
    for place in (slice(0, 0), slice(64, 128), slice(0, 64)):
        first, second = one.clone(), two.clone()
        first[:, :, place], second[:, :, place] = 0.5, 0.25
        inputs = {**rows(host, ("depth", 1.0, None), ("openpose", 1.0, second)), "branches": "cond"}
        results.append(latents(host, with_our_control(graph, host.give(narrow), host.give(first), **inputs)))
    assert torch.equal(results[0], results[1])
    assert largest_difference(results[0], results[2]) > FELT / 10  # the rest of the canvas has no prompt and is large


def test_where_a_node_skips_the_unet_the_net_is_not_run(host, narrow, graph_of, model_of) -> None:
    graph = with_our_control(graph_of("narrowxl", steps=8), host.give(narrow), host.give(picture()), **two_types(host))
    values = {"reuse_threshold": 3.0, "start_percent": 0.0, "end_percent": 1.0, "verbose": False}
    sampler = graph["sampler"]
    inputs = {**sampler["inputs"], "model": ["cache", 0]}
    graph["cache"] = node("EasyCache", model=["ours", 0], **values)
    graph["sampler"] = {**sampler, "inputs": inputs}
    unet = model_of("narrowxl").model.diffusion_model.time_embed
    with counted(narrow.control_model.net) as calls, counted(unet) as unet_calls:
        latents(host, graph)
    assert 0 < len(calls) == len(unet_calls) < 8
