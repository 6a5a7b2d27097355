"""How samplers of other packs call the host: slices of their own levels, one step at a time, in regions, upwards.

Each is imitated by a node of its own that calls the host as the pack does: Impact Pack (KSampler, RegionalSampler,
TwoAdvancedSamplersForMask), Inspire Pack (progress samplers), ComfyUI_Noise (Unsampler).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from control_graphs import CLOSE, counted, largest_difference, latents, scheduled, titles
from host_graphs import Graph, node

N = 6
FELT = 1e-2
WINDOWS = {
    "steps": {"end": 0.5},
    "middle": {"start": 0.3, "end": 0.7, "unit": "steps_diffusers"},
    "curve": {"curve": "1@0, 0@0.5"},
    "timestep": {"start": 0.3, "end": 0.7, "unit": "timestep"},
}
ANY = ("*", {})


def run_part(sampler: dict[str, Any], levels: Any, latent: dict[str, Any], seed: int | None) -> dict[str, Any]:
    """A run of the host between some levels; without a seed no noise is added."""
    import comfy.sample
    import comfy.samplers

    samples = latent["samples"]
    noise = torch.zeros_like(samples) if seed is None else comfy.sample.prepare_noise(samples, seed)
    result = comfy.sample.sample_custom(
        sampler["model"],
        noise,
        cfg=sampler["cfg"],
        sampler=comfy.samplers.sampler_object(sampler["sampler_name"]),
        sigmas=levels,
        positive=sampler["positive"],
        negative=sampler["negative"],
        latent_image=samples,
        noise_mask=latent.get("noise_mask"),
        callback=lambda step, x0, x, total: None,
        seed=seed or 0,
    )
    return {**latent, "samples": result}


def levels_of(sampler: dict[str, Any], steps: int, denoise: float = 1.0) -> Any:
    import comfy.samplers

    sampling = sampler["model"].get_model_object("model_sampling")
    return comfy.samplers.calculate_sigmas(sampling, sampler["scheduler"], int(steps / denoise))[-(steps + 1) :]


class Node:
    RETURN_TYPES = ("*",)
    FUNCTION = "run"
    CATEGORY = "test"
    NAMES: tuple[str, ...] = ()

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {}, "optional": {name: ANY for name in cls.NAMES}}

    @classmethod
    def VALIDATE_INPUTS(cls, input_types: Any) -> bool:
        return True


SAMPLER = ("model", "positive", "negative", "cfg", "sampler_name", "scheduler")


class Sliced(Node):
    """Levels of its own, cut where it begins and ends, with the inputs of KSampler (Advanced)."""

    NAMES = (*SAMPLER, "steps", "start_at_step", "end_at_step", "latent_image", "one_by_one")

    def run(self, steps, start_at_step, end_at_step, latent_image, one_by_one, **sampler):
        levels = levels_of(sampler, steps)
        end = min(steps, end_at_step)
        cuts = range(start_at_step, end + 1) if one_by_one else (start_at_step, end)
        latent = latent_image
        for first, last in zip(cuts, cuts[1:], strict=False):
            latent = run_part(sampler, levels[first : last + 1], latent, 1 if first == 0 else None)
        return (latent,)


class Provider(Node):
    """Hands a sampler to another node."""

    NAMES = SAMPLER

    def run(self, **sampler):
        return (sampler,)


class Region(Node):
    """A mask and the sampler that samples below it."""

    NAMES = ("mask", "sampler")

    def run(self, **region):
        return (region,)


class Regional(Node):
    """Each step by the base sampler outside of the region, then by that of the region inside."""

    NAMES = ("steps", "denoise", "samples", "base_sampler", "regional_prompts", "ratio")

    def run(self, steps, denoise, samples, base_sampler, regional_prompts, ratio):
        levels, latent = levels_of(base_sampler, steps, denoise), dict(samples)
        mask = regional_prompts["mask"]
        for step in range(steps):
            part = levels[step : step + 2] * ratio
            latent["noise_mask"] = 1.0 - mask
            after = run_part(base_sampler, part, latent, 1 if step == 0 else None)
            inside = run_part(regional_prompts["sampler"], part, {**after, "noise_mask": mask}, None)
            latent = {"samples": inside["samples"]}
        return (latent,)


class Unsampler(Node):
    """Upwards, from almost no noise, by the host's old class of samplers."""

    NAMES = (*SAMPLER, "steps", "end_at_step", "latent_image")

    def run(self, model, positive, negative, cfg, sampler_name, scheduler, steps, end_at_step, latent_image):
        import comfy.samplers

        sampler = comfy.samplers.KSampler(model, steps=steps, device="cpu", sampler=sampler_name, scheduler=scheduler)
        samples = latent_image["samples"]
        risen = sampler.sigmas.flip(0) + 0.0001
        result = sampler.sample(
            torch.zeros_like(samples), positive, negative, cfg=cfg, latent_image=samples,
            sigmas=risen, start_step=0, last_step=steps - end_at_step, callback=lambda *_: None,
        )  # fmt: skip
        return ({"samples": result},)


@pytest.fixture(autouse=True)
def nodes(host, monkeypatch) -> Iterator[None]:
    for kind in (Sliced, Provider, Region, Regional, Unsampler):
        monkeypatch.setitem(host.nodes.NODE_CLASS_MAPPINGS, f"Test{kind.__name__}", kind)
    yield


def inputs_of(graph: Graph) -> tuple[dict[str, Any], Any]:
    """What a sampler is made of, and the latent, from the KSampler of a graph."""
    inputs = graph["sampler"]["inputs"]
    return {name: inputs[name] for name in SAMPLER}, inputs["latent_image"]


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
@pytest.mark.parametrize("one_by_one", [True])
def test_slices_of_own_levels_equal_the_one_run(host, graph_of, our_net, window, one_by_one) -> None:
    graph = scheduled(host, graph_of(steps=N), our_net("narrow"), **window)
    sampler, latent = inputs_of(graph)
    whole = latents(host, graph)
    values = {"steps": N, "one_by_one": one_by_one}
    graph["first"] = node("TestSliced", **sampler, **values, latent_image=latent, start_at_step=0, end_at_step=4)
    graph["sampler"] = node(
        "TestSliced", **sampler, **values, latent_image=["first", 0], start_at_step=4, end_at_step=10000
    )
    result = host.run(graph, keep={"latent": ["sampler", 0]})
    assert largest_difference(whole, result["latent"]["samples"]) <= CLOSE
    assert titles(result) == []


def regional(host: Any, graph: Graph, ratio: float = 1.0, scheduler: str = "") -> Graph:
    """The KSampler as a regional sampler with the same prompt in and outside of the region."""
    sampler, latent = inputs_of(graph)
    graph = {**graph, "mask": host.give(torch.cat([torch.ones(1, 8, 4), torch.zeros(1, 8, 4)], dim=-1))}
    named = {**sampler, "scheduler": scheduler or sampler["scheduler"]}
    graph["base"], graph["inner"] = (node("TestProvider", **named) for _ in range(2))
    graph["region"] = node("TestRegion", mask=["mask", 0], sampler=["inner", 0])
    graph["sampler"] = node(
        "TestRegional",
        steps=N,
        denoise=1.0,
        samples=latent,
        base_sampler=["base", 0],
        regional_prompts=["region", 0],
        ratio=ratio,
    )
    return graph


def calls_of(host: Any, graph: Graph, net: Any) -> tuple[int, list[str]]:
    """How often the net ran, and the titles of the notices."""
    with counted(net.control_model.net) as calls:
        result = host.run(graph, keep={"latent": ["sampler", 0]})
    return len(calls), titles(result)


@pytest.mark.parametrize(("window", "steps"), [("steps", 3), ("middle", 3), ("timestep", 2)])
def test_steps_of_regions_count_in_the_run_of_the_node(host, graph_of, our_net, window, steps) -> None:
    """Sampler and scheduler are behind the node that samples: twice as many calls as in the one run, in silence."""
    net = our_net("narrow")
    graph = scheduled(host, graph_of(steps=N), net, **WINDOWS[window])
    once, _ = calls_of(host, graph, net)
    calls, notices = calls_of(host, regional(host, graph), net)
    assert once > 0 and calls == 2 * once and notices == []


@pytest.mark.parametrize("window", [{"end": 0.5, "unit": "timestep"}, {"end": 0.5}], ids=["timestep", "steps"])
def test_levels_that_a_pack_scales_are_no_alarm(host, graph_of, our_net, window) -> None:
    """As the recovery of Impact Pack does: no part is one of the scheduler's."""
    net = our_net("narrow")
    graph = scheduled(host, graph_of(steps=N), net, **window)
    calls, notices = calls_of(host, regional(host, graph, ratio=0.7), net)
    assert calls > 0 and set(notices) <= {"Part of a run"}
    assert len(notices) == (0 if "unit" in window else len(notices)) and len(notices) <= 4


def test_a_control_that_never_acts_in_regions_is_said_once(host, graph_of, our_net) -> None:
    net = our_net("narrow")
    graph = scheduled(host, graph_of(steps=N), net, "warn", start=0.51, end=0.52)
    calls, notices = calls_of(host, regional(host, graph), net)
    assert calls == 0 and notices.count("Control never acted") in (1, 2) and len(notices) <= 2


@pytest.mark.parametrize("end_at_step", [0, 2])
def test_an_unsampler_counts_upwards(host, graph_of, our_net, end_at_step) -> None:
    net = our_net("narrow")
    graph = scheduled(host, graph_of(steps=N), net, "warn", end=0.4)
    sampler, latent = inputs_of(graph)
    graph["sampler"] = node("TestUnsampler", **sampler, steps=N, end_at_step=end_at_step, latent_image=latent)
    everywhere = scheduled(host, graph_of(steps=N), net)
    everywhere["sampler"] = graph["sampler"]
    most, _ = calls_of(host, everywhere, net)
    calls, notices = calls_of(host, graph, net)
    assert most == N - end_at_step and calls == most // 2
    assert set(notices) <= {"Part of a run"}
