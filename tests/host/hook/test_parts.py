"""One run of the user in several runs of a sampler: steps are counted over all of them, and nothing cries wolf."""

from __future__ import annotations

from typing import Any

import pytest
from control_graphs import (
    CLOSE,
    counted,
    largest_difference,
    latents,
    picture,
    scheduled,
    titles,
    with_our_control,
)
from host_graphs import Graph, node
from host_process import NodeFailed

N = 6
FELT = 1e-2
WINDOWS = {
    "steps": {"end": 0.5},
    "middle": {"start": 0.3, "end": 0.7},
    "diffusers": {"end": 0.5, "unit": "steps_diffusers"},
    "curve": {"curve": "1@0, 0@0.5"},
}


def in_stages(graph: Graph, cuts: tuple[int, ...], steps: Any = N) -> Graph:
    """The KSampler as several KSampler (Advanced), cut at these steps; the last is named `sampler`."""
    inputs = {key: value for key, value in graph["sampler"]["inputs"].items() if key not in ("seed", "denoise")}
    latent = inputs.pop("latent_image")
    for number, (start, end) in enumerate(zip(cuts, cuts[1:], strict=False)):
        name = "sampler" if end == cuts[-1] else f"stage {number}"
        last = end == cuts[-1]
        graph = {**graph}
        graph[name] = node(
            "KSamplerAdvanced",
            **{**inputs, "steps": steps},
            latent_image=latent,
            add_noise="enable" if number == 0 else "disable",
            noise_seed=1,
            start_at_step=start,
            end_at_step=10000 if last else end,
            return_with_leftover_noise="disable" if last else "enable",
        )
        latent = [name, 0]
    return graph


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
def test_stages_equal_the_one_run(host, graph_of, our_net, window) -> None:
    graph = scheduled(host, graph_of(steps=N), our_net("narrow"), **window)
    whole = latents(host, graph)
    for cuts in ((0, 3, N), tuple(range(N + 1))):
        result = host.run(in_stages(graph, cuts), keep={"latent": ["sampler", 0]})
        assert largest_difference(whole, result["latent"]["samples"]) <= CLOSE
        assert titles(result) == []
    assert largest_difference(latents(host, graph_of(steps=N)), whole) > FELT


TEN = {
    **WINDOWS,
    "the middle of diffusers": {"start": 0.3, "end": 0.7, "unit": "steps_diffusers"},
    "timestep": {"start": 0.3, "end": 0.7, "unit": "timestep"},
    "sigma": {"start": 8.0, "end": 1.0, "unit": "sigma"},
}


@pytest.mark.parametrize("window", TEN.values(), ids=TEN)
def test_ten_stages_of_one_step_equal_the_one_run(host, graph_of, our_net, window) -> None:
    """Also where a control that never acts would be an error: it acts in some stage."""
    graph = scheduled(host, graph_of(steps=10), our_net("narrow"), **window)
    whole = latents(host, graph)
    result = host.run(in_stages(graph, tuple(range(11)), steps=10), keep={"latent": ["sampler", 0]})
    assert largest_difference(whole, result["latent"]["samples"]) <= CLOSE
    assert titles(result) == []
    assert largest_difference(latents(host, graph_of(steps=10)), whole) > FELT


def test_the_number_of_steps_is_followed_to_the_node_that_holds_it(host, graph_of, our_net) -> None:
    graph = scheduled(host, graph_of(steps=N), our_net("narrow"), **WINDOWS["diffusers"])
    linked = {**graph, "number": node("PrimitiveInt", value=N)}
    result = host.run(in_stages(linked, (0, 4, N), ["number", 0]), keep={"latent": ["sampler", 0]})
    assert largest_difference(latents(host, graph), result["latent"]["samples"]) <= CLOSE
    assert titles(result) == []


def custom(graph: Graph, parts: list[list[Any]], sampler: str = "euler") -> Graph:
    """The KSampler as SamplerCustom nodes, one for each SIGMAS."""
    inputs = graph["sampler"]["inputs"]
    graph = {**graph, "method": node("KSamplerSelect", sampler_name=sampler)}
    graph["levels"] = node("BasicScheduler", model=inputs["model"], scheduler="normal", steps=N, denoise=1.0)
    graph["split"] = node("SplitSigmas", sigmas=["levels", 0], step=2)
    graph["split again"] = node("SplitSigmas", sigmas=["split", 1], step=2)
    latent = inputs["latent_image"]
    for number, sigmas in enumerate(parts):
        name = "sampler" if number == len(parts) - 1 else f"stage {number}"
        graph[name] = node(
            "SamplerCustom",
            **{key: inputs[key] for key in ("model", "positive", "negative", "cfg")},
            latent_image=latent,
            add_noise=number == 0,
            noise_seed=1,
            sampler=["method", 0],
            sigmas=sigmas,
        )
        latent = [name, 0]
    return graph


THREE = [["split", 0], ["split again", 0], ["split again", 1]]


def test_split_sigmas_are_followed_to_their_scheduler(host, graph_of, our_net) -> None:
    graph = scheduled(host, graph_of(steps=N), our_net("narrow"), **WINDOWS["middle"])
    result = host.run(custom(graph, THREE), keep={"latent": ["sampler", 0]})
    assert largest_difference(latents(host, graph), result["latent"]["samples"]) <= CLOSE
    assert titles(result) == []


@pytest.mark.parametrize("steps", [0, N])
def test_parts_that_nobody_names_are_said_or_told_by_the_schedule(host, graph_of, our_net, steps) -> None:
    """SIGMAS out of nowhere: the schedule's own number of steps places the first and the last part."""
    graph = graph_of(steps=N)
    whole = latents(host, scheduled(host, graph, our_net("narrow"), **WINDOWS["diffusers"]))
    graph = scheduled(host, graph, our_net("narrow"), **WINDOWS["diffusers"], steps=steps)
    parts = custom(graph, [["split", 0], ["split", 1]])
    sigmas = host.run({key: parts[key] for key in ("model", "levels")} | _bare(graph), keep={"s": ["levels", 0]})["s"]
    parts["split"] = {**parts["split"], "inputs": {"sigmas": ["given", 0], "step": 2}}
    parts["given"] = host.give(sigmas)
    result = host.run(parts, keep={"latent": ["sampler", 0]})
    apart = largest_difference(whole, result["latent"]["samples"])
    if steps:
        assert apart <= CLOSE and titles(result) == []
    else:
        assert apart > FELT and titles(result) == ["Part of a run"] * 2
        assert "counted within this part of 2 steps" in result.sent("zeroctl.notice")[0]["text"]


def _bare(graph: Graph) -> Graph:
    """What gives the MODEL."""
    return {key: graph[key] for key in graph if key.startswith(("ours", "window"))}


def test_a_number_of_steps_below_the_run_is_refused_before_sampling(host, graph_of, our_net) -> None:
    net = our_net("narrow")
    graph = scheduled(host, graph_of(steps=N), net, **WINDOWS["steps"], steps=N - 1)
    with counted(net.control_model.net) as calls, pytest.raises(NodeFailed, match="control 1.*5 steps by its settings"):
        latents(host, graph)
    assert not calls


@pytest.mark.parametrize("policy", ["warn", "error"])
def test_a_second_pass_behind_the_window_is_no_alarm(host, graph_of, our_net, policy) -> None:
    """Window to 0.3, the second pass begins at 0.6: it acted in the first pass."""
    graph = with_our_control(
        graph_of(steps=4), host.give(our_net("narrow")), host.give(picture()), end=0.3, if_never_applied=policy
    )
    first = graph["sampler"]
    graph["first"] = first
    graph["larger"] = node("LatentUpscaleBy", samples=["first", 0], upscale_method="nearest-exact", scale_by=1.5)
    graph["sampler"] = {**first, "inputs": {**first["inputs"], "latent_image": ["larger", 0], "denoise": 0.6}}
    assert titles(host.run(graph, keep={"latent": ["sampler", 0]})) == []


def test_image_to_image_that_never_acts_is_said_once_and_stops_nothing(host, graph_of, our_net) -> None:
    graph = with_our_control(
        graph_of(steps=4), host.give(our_net("narrow")), host.give(picture()), end=0.3, if_never_applied="error"
    )
    graph["sampler"]["inputs"]["denoise"] = 0.5
    assert titles(host.run(graph, keep={"latent": ["sampler", 0]})) == ["Control never acted"]


def test_a_window_between_the_steps_of_all_stages_is_said_at_the_last(host, graph_of, our_net) -> None:
    graph = scheduled(host, graph_of(steps=N), our_net("narrow"), start=0.51, end=0.52)
    assert titles(host.run(in_stages(graph, (0, 3, N)), keep={"l": ["sampler", 0]})) == ["Control never acted"]


def test_rising_levels_are_counted_in_their_order(host, graph_of, our_net, model_of) -> None:
    """Noise is put back step by step, as an unsampler does: the window holds the first half of the calls."""
    net = our_net("narrow")
    graph = scheduled(host, graph_of(steps=N), net, end=0.4)
    graph = custom(graph, [["risen", 0]])
    graph["risen"] = node("FlipSigmas", sigmas=["levels", 0])
    unet, order = model_of("narrow").model.diffusion_model, []
    handles = [
        net.control_model.net.register_forward_pre_hook(lambda *_: order.append("control")),
        unet.input_blocks[0][0].register_forward_pre_hook(lambda *_: order.append("unet")),
    ]
    try:
        latents(host, graph)
    finally:
        for handle in handles:
            handle.remove()
    assert order == ["control", "unet"] * 3 + ["unet"] * 3


def test_levels_that_are_raised_before_each_step_count_as_that_step(host, graph_of, our_net, model_of) -> None:
    """Churn adds noise, so that the network sees levels above those of the run."""
    from comfy.samplers import ksampler

    net = our_net("narrow")
    graph = custom(scheduled(host, graph_of(steps=N), net, end=0.4), [["levels", 0]])
    graph["method"] = host.give(ksampler("euler", {"s_churn": 3.0}))
    with counted(net.control_model.net) as calls, counted(model_of("narrow").model.diffusion_model) as of_unet:
        result = host.run(graph, keep={"latent": ["sampler", 0]})
    assert len(of_unet) == N and len(calls) == 3
    assert titles(result) == []
    graph["method"] = node("KSamplerSelect", sampler_name="euler")
    assert not largest_difference(latents(host, graph), result["latent"]["samples"]) <= CLOSE, "nothing was added"
