"""A T2I-Adapter of our loader: equal to the host's in both Applies, and like every other kind of control."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Callable
from dataclasses import replace
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
    titles,
    with_host_control,
    with_our_control,
)
from host_graphs import Graph, node
from host_models import flux_model
from host_process import Host, NodeFailed
from random_weights import NARROW, SPECS, adapter_shapes, random_controlnet, random_state_dict
from safetensors.torch import save_file

from zeroctl_core.network.t2i_adapter import T2IAdapter

FELT = 1e-3  # by what a control moves them at least
SD = replace(SPECS["narrow"], channel_mult=(1, 2, 4, 4), num_res_blocks=(2, 2, 2, 2), transformer_depth=(1, 1, 1, 0))
SDXL = replace(SPECS["narrowxl"], channel_mult=(1, 2, 4), num_res_blocks=(2, 2, 2), transformer_depth=(0, 1, 1))
KINDS: dict[str, tuple[Any, dict[str, bool]]] = {
    "full": (SD, {}),
    "grey": (SD, {"grey": True}),
    "light": (SD, {"light": True}),
    "sdxl": (SDXL, {"xl": True}),
}


def host_adapter(options: dict[str, bool]) -> Any:
    """The host's CONTROL_NET of the same weights; its own loader knows light ones of 320 channels alone."""
    import comfy.controlnet
    import comfy.t2i_adapter.adapter as adapters

    weights = random_state_dict(adapter_shapes(NARROW, **options), seed=3, spread=0.1)
    channels = [mult * NARROW for mult in (1, 2, 4, 4)]
    if not options.get("light"):
        return comfy.controlnet.load_t2i_adapter(weights)
    network = adapters.Adapter_light(cin=192, channels=channels, nums_rb=4)
    network.load_state_dict(weights)
    return comfy.controlnet.T2IAdapter(network, network.input_channels, 8, "nearest-exact")


Nets = Callable[[str], tuple[Any, dict[str, Any], Any]]


@pytest.fixture(scope="session")
def nets(host: Host) -> Nets:
    """`nets(kind)`: the MODEL's preset, the node that loads its file with our loader, the host's CONTROL_NET."""

    def make(kind: str) -> tuple[Any, dict[str, Any], Any]:
        preset, options = KINDS[kind]
        path = host.base / "models" / "controlnet" / f"t2i-{kind}.safetensors"
        if not path.exists():
            save_file(random_state_dict(adapter_shapes(NARROW, **options), seed=3, spread=0.1), path)
        with torch.inference_mode():
            return preset, node("ZeroctlLoadControlNet", control_net_name=path.name), host_adapter(options)

    return make


@pytest.mark.parametrize("negative", [True, False], ids=["both", "cond"])
@pytest.mark.parametrize("kind", KINDS)
def test_it_equals_the_hosts_in_both_applies(host, nets, graph_of, kind, negative) -> None:
    preset, ours, theirs = nets(kind)
    graph, image = graph_of(preset), host.give(picture(96, 64))
    expected = latents(host, with_host_control(graph, host.give(theirs), image, negative, strength=0.8))
    branches = "both" if negative else "cond"
    inputs = {"strength": 0.8, "branches": branches, "if_never_applied": "error"}
    assert largest_difference(expected, latents(host, with_our_control(graph, ours, image, **inputs))) <= CLOSE
    in_theirs = latents(host, with_host_control(graph, ours, image, negative, strength=0.8))
    assert largest_difference(expected, in_theirs) <= CLOSE
    assert largest_difference(expected, latents(host, graph)) > FELT


@pytest.mark.parametrize("kind", ["light", "sdxl"])
def test_window_strength_and_batch_equal_the_host(host, nets, graph_of, kind) -> None:
    preset, ours, theirs = nets(kind)
    graph = graph_of(preset, steps=3, batch=2, scheduler="karras", sampler="heun")
    image = host.give(picture(batch=2))
    window = {"strength": 1.3, "start_percent": 0.1, "end_percent": 0.6}
    expected = latents(host, with_host_control(graph, host.give(theirs), image, **window))
    result = latents(host, with_our_control(graph, ours, image, strength=1.3, start=0.1, end=0.6))
    assert largest_difference(expected, result) <= CLOSE
    assert largest_difference(result, latents(host, with_our_control(graph, ours, image, strength=1.3))) > FELT


def weighted(custom: str = "", rule: str = "uniform") -> dict[str, Any]:
    return {
        "extra": {"weights": node("ZeroctlWeights", rule=rule, base="auto", custom=custom)},
        "weights": ["weights", 0],
    }


def masked(host: Host, mask: torch.Tensor, **inputs: Any) -> dict[str, Any]:
    return {"extra": {"mask": host.give(mask)}, "mask": ["mask", 0], **inputs}


def curved(text: str) -> dict[str, Any]:
    schedule = {"start": 0.0, "end": 1.0, "unit": "steps", "curve": text, "interpolation": "linear"}
    return {"extra": {"curve": node("ZeroctlSchedule", **schedule)}, "schedule": ["curve", 0]}


@pytest.mark.parametrize("kind", ["full", "sdxl"])
def test_off_strength_0_a_mask_of_zeros_and_weights_of_zeros_are_no_control(host, nets, graph_of, kind) -> None:
    preset, ours, _ = nets(kind)
    graph, image = graph_of(preset), host.give(picture())
    plain = latents(host, graph)
    for case in (
        {"strength": 0.0},
        {"enabled": False},
        masked(host, torch.zeros(1, 64, 64)),
        weighted("0, 0, 0, 0"),
        curved("0@0, 0@1"),
    ):
        assert torch.equal(plain, latents(host, with_our_control(graph, ours, image, **case)))
        with pytest.raises(NodeFailed, match="switched off or has strength 0|cannot act: its"):
            latents(host, with_our_control(graph, ours, image, if_never_applied="error", **case))


@pytest.mark.parametrize("kind", ["full", "sdxl"])
def test_a_mask_of_ones_and_weights_of_ones_change_nothing(host, nets, graph_of, kind) -> None:
    preset, ours, _ = nets(kind)
    graph, image = graph_of(preset), host.give(picture())
    whole = latents(host, with_our_control(graph, ours, image))
    for case in (masked(host, torch.ones(1, 64, 64)), weighted("1, 1, 1, 1"), curved("1@0, 1@1")):
        assert largest_difference(whole, latents(host, with_our_control(graph, ours, image, **case))) <= CLOSE


def half_mask() -> torch.Tensor:
    mask = torch.zeros(1, 64, 64)
    mask[:, :, :27] = 1.0
    mask[:, 40:, :] = 0.25
    return mask


CASES: dict[str, Callable[[Host], dict[str, Any]]] = {
    "uncond": lambda host: {"branches": "uncond"},
    "fit": lambda host: {"resize": "fit"},
    "negative strength": lambda host: {"strength": -0.7},
    "weights": lambda host: weighted("0.1, -0.2, 0.3, 1.5"),
    "curve": lambda host: curved("1@0, 0.2@0.5, 0@0.7"),
    "mask": lambda host: masked(host, half_mask()),
    "inverted mask, cond": lambda host: masked(host, half_mask(), mask_invert=True, mask_feather=5.0, branches="cond"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", ["full", "sdxl"])
def test_what_ours_adds_acts_as_on_the_hosts_net(host, nets, graph_of, kind, case) -> None:
    """The host's net goes another way through our Apply, which is tested on its own."""
    preset, ours, theirs = nets(kind)
    graph, image = graph_of(preset, steps=3), host.give(picture(96, 64))
    inputs = CASES[case](host)
    own = latents(host, with_our_control(graph, ours, image, **inputs))
    foreign = latents(host, with_our_control(graph, host.give(theirs), image, **inputs))
    assert largest_difference(own, foreign) <= CLOSE
    assert largest_difference(own, latents(host, with_our_control(graph, ours, image))) > FELT / 2


@pytest.fixture()
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of pictures of every encoding."""
    calls: list[int] = []
    encode = T2IAdapter.encode

    def counting(self: T2IAdapter, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        calls.append(image.shape[0])
        return encode(self, image)

    monkeypatch.setattr(T2IAdapter, "encode", counting)
    return calls


@pytest.mark.parametrize("kind", ["light", "sdxl"])
def test_four_latents_follow_their_own_images_and_each_is_encoded_once(host, nets, graph_of, encoded, kind) -> None:
    preset, ours, _ = nets(kind)
    graph, four = graph_of(preset, batch=4, steps=3), picture(batch=4)
    together = latents(host, with_our_control(graph, ours, host.give(four)))
    assert encoded == [1] * 4
    encoded.clear()
    for row in (0, 3):
        alone = latents(host, with_our_control(graph, ours, host.give(four[row : row + 1])))
        assert largest_difference(together[row], alone[row]) <= CLOSE
        assert largest_difference(together[row], alone[row - 2]) > FELT
    assert encoded == [1] * 2


@pytest.mark.parametrize("kind", ["full", "sdxl"])
def test_two_areas_see_their_crops(host, nets, graph_of, encoded, kind) -> None:
    """The areas are left and right: pixels of one half change that half alone, as long as the UNet sees no other."""
    preset, ours, theirs = nets(kind)
    graph = graph_of(preset, size=128)
    for name, x in (("left", 0), ("right", 64)):
        area = node("ConditioningSetArea", conditioning=["positive", 0], width=64, height=128, x=x, y=0, strength=1.0)
        graph = {**graph, name: area}
    graph["areas"] = node("ConditioningCombine", conditioning_1=["left", 0], conditioning_2=["right", 0])
    sampler = graph["sampler"]
    graph = {**graph, "sampler": {**sampler, "inputs": {**sampler["inputs"], "positive": ["areas", 0], "steps": 1}}}
    image = picture(128, 128)
    other = image.clone()
    other[:, :, 64:] = 0.5
    one, two = (
        latents(host, with_our_control(graph, ours, host.give(value), branches="cond")) for value in (image, other)
    )
    assert encoded == [1] * 4  # a crop for each area
    assert torch.equal(one[..., :8], two[..., :8])
    assert largest_difference(one[..., 8:], two[..., 8:]) > FELT
    foreign = latents(host, with_our_control(graph, host.give(theirs), host.give(image), branches="cond"))
    assert largest_difference(one, foreign) <= CLOSE


def test_where_a_node_skips_the_unet_nothing_is_added(host, nets, graph_of, model_of) -> None:
    preset, ours, _ = nets("full")
    net = host.run({"net": ours}, keep={"net": ["net", 0]})["net"]
    graph = with_our_control(graph_of(preset, steps=8), host.give(net), host.give(picture()))
    sampler = graph["sampler"]
    graph["cache"] = node(
        "EasyCache", model=["ours", 0], reuse_threshold=3.0, start_percent=0.0, end_percent=1.0, verbose=False
    )
    graph["sampler"] = {**sampler, "inputs": {**sampler["inputs"], "model": ["cache", 0]}}
    unet = model_of(preset).model.diffusion_model.time_embed
    with counted(net.control_model.net) as calls, counted(unet) as unet_calls:
        latents(host, graph)
    assert 0 < len(calls) == len(unet_calls) < 8


@pytest.mark.parametrize("kind", ["full", "sdxl"])
def test_an_adapter_beside_a_controlnet_equals_the_hosts_chain(host, nets, graph_of, tmp_path, kind) -> None:
    preset, ours, theirs = nets(kind)
    graph, images = graph_of(preset), [host.give(picture(seed=seed)) for seed in range(3)]
    path = host.base / "models" / "controlnet" / f"beside-{kind}.safetensors"
    save_file(random_controlnet(preset, seed=4), path)
    beside = [node(loader, control_net_name=path.name) for loader in ("ControlNetLoader", "ZeroctlLoadControlNet")]
    expected = with_host_control(graph, host.give(theirs), images[0], name="one", strength=0.7)
    expected = latents(host, with_host_control(expected, beside[0], images[1], name="two"))
    chained = with_our_control(graph, ours, images[0], name="one", strength=0.7)
    results = [latents(host, with_our_control(chained, beside[1], images[1], name="two"))]
    stack = with_our_control(graph, beside[1], images[1], name="two")
    stack = with_our_control(stack, ours, images[0], name="one", strength=0.7, stack=["two control", 0])
    stack["one"]["inputs"]["model"] = ["model", 0]
    results.append(latents(host, stack))
    results.append(latents(host, with_our_control(chained, beside[0], images[1], name="two")))  # the host's net in ours
    for result in results:
        assert largest_difference(expected, result) <= CLOSE


@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize("kind", ["full", "sdxl"])
def test_deep_shrink_drops_nothing_that_enters_the_encoder(host, nets, graph_of, caplog, kind, after) -> None:
    preset, ours, _ = nets(kind)
    graph = graph_of(preset, size=128)
    graph["shrink"] = node(
        "PatchModelAddDownscale",
        model=["model", 0],
        block_number=2,
        downscale_factor=1.5,
        start_percent=0.0,
        end_percent=1.0,
        downscale_after_skip=after,
        downscale_method="bilinear",
        upscale_method="bilinear",
    )
    graph["sampler"]["inputs"]["model"] = ["shrink", 0]
    with caplog.at_level(logging.WARNING):
        result = host.run(with_our_control(graph, ours, host.give(picture(128, 128))), keep={"latent": ["sampler", 0]})
    assert "control could not be applied" not in caplog.text
    assert titles(result) == ["Control resized"]
    assert largest_difference(result["latent"]["samples"], latents(host, graph)) > FELT


def test_an_odd_latent_keeps_every_cell_in_its_place(host, nets, graph_of) -> None:
    """The host stretches its picture to whole cells of 16 pixels instead, which moves them."""
    preset, ours, theirs = nets("sdxl")
    graph, image = graph_of(preset, size=72), host.give(picture(72, 72))
    result = latents(host, with_our_control(graph, ours, image))
    assert largest_difference(result, latents(host, graph)) > FELT
    assert largest_difference(result, latents(host, with_host_control(graph, host.give(theirs), image))) > FELT


@pytest.mark.parametrize(
    ("kind", "preset", "message"),
    [
        ("full", SDXL, "is a control for SD 1.5 .4 connections, no prompt., the MODEL is SDXL .10 connections"),
        ("light", SDXL, "is a control for SD 1.5 .*Load a control that was trained for SDXL"),
        ("sdxl", SD, "is a control for SDXL .4 connections, no prompt., the MODEL is SD15 "),
        ("full", "narrow", "is a control for SD 1.5 .*the MODEL is SD15 .5 connections"),
    ],
)
def test_an_adapter_of_another_family_is_refused_before_sampling(host, nets, graph_of, kind, preset, message) -> None:
    _, ours, _ = nets(kind)
    with pytest.raises(NodeFailed, match=f"^ours .*control 1: .*{message}"):
        latents(host, with_our_control(graph_of(preset), ours, host.give(picture())))


def test_a_model_that_takes_no_such_maps_is_refused(host, nets) -> None:
    _, ours, _ = nets("full")
    graph: Graph = {"model": host.give(flux_model()), "sampler": node("none", model=["model", 0])}
    graph = with_our_control(graph, ours, host.give(picture()))
    del graph["sampler"]
    with pytest.raises(NodeFailed, match=r"^ours .*control 1: .*is a control for SD 1.5 .*no Stable Diffusion UNet"):
        host.run(graph, keep={"model": ["ours", 0]})


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (weighted(", ".join(["1"] * 13)), "expected 4 numbers as custom weights.*got 13"),
        (
            {
                "extra": {"weights": node("ZeroctlWeights", rule="soft", base="sdxl", custom="")},
                "weights": ["weights", 0],
            },
            "meant for the base sdxl, .* is sd15",
        ),
    ],
    ids=["number", "base"],
)
def test_weights_of_another_net_are_refused(host, nets, graph_of, inputs, message) -> None:
    preset, ours, _ = nets("full")
    with pytest.raises(NodeFailed, match=message):
        latents(host, with_our_control(graph_of(preset), ours, host.give(picture()), **inputs))


def test_a_union_type_of_an_adapter_is_refused_in_both_applies(host, nets, graph_of) -> None:
    preset, ours, _ = nets("full")
    graph = {**graph_of(preset), "adapter": ours}
    typed = node("SetUnionControlNetType", control_net=["adapter", 0], type="depth")
    with pytest.raises(NodeFailed, match="is a plain T2I-Adapter and has no use for control_type"):
        latents(host, with_our_control(graph, typed, host.give(picture())))
    with pytest.raises(NodeFailed, match="this is a plain SD 1.5 T2I-Adapter, it has no use for control_type"):
        latents(host, with_host_control(graph, typed, host.give(picture())))


def test_info_table_and_report_say_what_it_is(host, nets, graph_of) -> None:
    preset, ours, _ = nets("grey")
    graph = with_our_control(graph_of(preset), ours, host.give(picture()), branches="cond")
    graph["table"] = node("ZeroctlWeights", rule="resolution", base="auto", custom="", control_net=["ours net", 0])
    keep = {"info": ["ours net", 1], "report": ["ours", 1], "table": ["table", 1]}
    result = host.run(graph, keep=keep)
    for line in (
        "family: SD 1.5 (sd15)",
        "connections: 4, widths 64 128 256 256",
        "kind: T2I-Adapter, computed once a run; it reads no prompt and no latent",
        "its file does not tell SD 1.x from 2.x; the released ones were trained for 1.x",
        "condition: grey, the mean of the IMAGE's channels",
        "layout: original",
    ):
        assert line in result["info"].splitlines()
    assert "cost: none in a step, it reads the condition alone and is computed once a run" in result["report"]
    assert " 4 input    256 1/8    8.0000" in result["table"].splitlines()


def test_it_acts_on_sd_2_too_whose_unet_has_the_same_places(host, nets, graph_of) -> None:
    _, ours, theirs = nets("full")
    graph, image = graph_of(replace(SD, context_dim=1024, use_linear=True)), host.give(picture())
    expected = latents(host, with_host_control(graph, host.give(theirs), image))
    assert largest_difference(expected, latents(host, with_our_control(graph, ours, image))) <= CLOSE


def test_an_interrupted_run_and_twenty_more_leave_nothing(host, nets, graph_of, monkeypatch) -> None:
    preset, ours, _ = nets("light")
    net = host.run({"net": ours}, keep={"net": ["net", 0]})["net"]
    graph, maps_of_runs = with_our_control(graph_of(preset, steps=1), host.give(net), host.give(picture())), []
    encode = T2IAdapter.encode

    def watched(self: T2IAdapter, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        maps = encode(self, image)
        maps_of_runs.extend(weakref.ref(values) for values in maps)
        return maps

    monkeypatch.setattr(T2IAdapter, "encode", watched)
    first = latents(host, graph)
    with monkeypatch.context() as patch, pytest.raises(NodeFailed, match="stop"):

        def stop(*args: Any, **call: Any) -> Any:
            raise RuntimeError("stop")

        patch.setattr(T2IAdapter, "forward", stop)
        latents(host, {**graph, "sampler": {**graph["sampler"], "inputs": {**graph["sampler"]["inputs"], "seed": 2}}})
    for seed in range(3, 23):
        inputs = {**graph["sampler"]["inputs"], "seed": seed}
        latents(host, {**graph, "sampler": {**graph["sampler"], "inputs": inputs}})
    gc.collect()
    assert len(maps_of_runs) == 4 * 22 and not any(values() is not None for values in maps_of_runs)
    assert torch.equal(first, latents(host, graph))


@pytest.mark.parametrize(("kind", "layout"), [("full", "diffusers"), ("sdxl", "ldm")])
def test_what_save_controlnet_writes_is_read_by_the_host(host, nets, graph_of, kind, layout) -> None:
    preset, ours, _ = nets(kind)
    saving = node("ZeroctlSaveControlNet", control_net=["net", 0], filename_prefix="controlnet/t2i", layout=layout)
    path = Path(host.run({"net": ours, "save": saving}, keep={"path": ["save", 0]})["path"])
    name = f"saved-{kind}.safetensors"
    path.rename(host.base / "models" / "controlnet" / name)
    graph, image = graph_of(preset), host.give(picture())
    theirs = with_host_control(graph, node("ControlNetLoader", control_net_name=name), image)
    assert largest_difference(latents(host, theirs), latents(host, with_our_control(graph, ours, image))) <= CLOSE
