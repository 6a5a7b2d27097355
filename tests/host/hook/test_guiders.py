"""Guiders and guidance patches: whose rows a call holds, and what each of them gets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from control_graphs import CLOSE, counted, largest_difference, latents, picture, with_host_control, with_our_control
from host_graphs import Graph, node
from host_process import NodeFailed

FELT = 1e-2  # by what a random control moves them at least

# node id -> its inputs; what names a node of the graph becomes a link to it
GUIDERS: dict[str, tuple[str, dict[str, Any]]] = {
    "cfg": ("CFGGuider", {"positive": "positive", "negative": "negative", "cfg": 6.0}),
    "basic": ("BasicGuider", {"conditioning": "positive"}),
    "dual cfg": (
        "DualCFGGuider",
        {
            "cond1": "positive",
            "cond2": "middle",
            "negative": "negative",
            "cfg_conds": 5.0,
            "cfg_cond2_negative": 4.0,
            "style": "regular",
        },
    ),
    "dual cfg nested": (
        "DualCFGGuider",
        {
            "cond1": "positive",
            "cond2": "middle",
            "negative": "negative",
            "cfg_conds": 3.0,
            "cfg_cond2_negative": 2.0,
            "style": "nested",
        },
    ),
    "perp neg": (
        "PerpNegGuider",
        {"positive": "positive", "negative": "negative", "empty_conditioning": "middle", "cfg": 6.0, "neg_scale": 0.8},
    ),
}
ROWS = {"cfg": 2, "basic": 1, "dual cfg": 3, "dual cfg nested": 3, "perp neg": 3}


def guided(graph: Graph, class_type: str, inputs: dict[str, Any], sampler: str = "euler", steps: int = 2) -> Graph:
    """The KSampler graph as SamplerCustomAdvanced with this guider, on the KSampler's MODEL and conds."""
    links = graph["sampler"]["inputs"]
    names = {"positive": links["positive"], "negative": links["negative"], "middle": ["middle", 0]}
    values = {key: names.get(value, value) if isinstance(value, str) else value for key, value in inputs.items()}
    return {
        **graph,
        "noise": node("RandomNoise", noise_seed=1),
        "kind": node("KSamplerSelect", sampler_name=sampler),
        "sigmas": node("BasicScheduler", model=["model", 0], scheduler="normal", steps=steps, denoise=1.0),
        "guider": node(class_type, model=links["model"], **values),
        "sampler": node(
            "SamplerCustomAdvanced",
            noise=["noise", 0],
            guider=["guider", 0],
            sampler=["kind", 0],
            sigmas=["sigmas", 0],
            latent_image=["latent", 0],
        ),
    }


def with_patch(graph: Graph, class_type: str, **inputs: Any) -> Graph:
    """The graph with one more node on the MODEL's way into the sampler."""
    sampler = graph["sampler"]["inputs"]
    return {
        **graph,
        class_type: node(class_type, model=sampler["model"], **inputs),
        "sampler": {**graph["sampler"], "inputs": {**sampler, "model": [class_type, 0]}},
    }


def host_control_on_middle(graph: Graph) -> Graph:
    """The graph with the host's Apply on the third cond too, in place of the bare one."""
    applied = {**graph["host"], "inputs": {**graph["host"]["inputs"], "positive": ["bare", 0], "negative": ["bare", 0]}}
    return {**graph, "bare": graph["middle"], "middle": applied}


@contextmanager
def contexts(net: Any) -> Iterator[list[torch.Tensor]]:
    """The context [B, T, C] of every call of our net: it tells whose rows they were."""
    contexts_of_net: list[torch.Tensor] = []
    handle = net.control_model.net.register_forward_pre_hook(lambda _, args: contexts_of_net.append(args[2]))
    try:
        yield contexts_of_net
    finally:
        handle.remove()


@pytest.fixture
def third(host, graph_of, conditioning_of):
    """A KSampler graph with a third cond, `middle`, for guiders that take one."""
    return {**graph_of(), "middle": host.give(conditioning_of("narrow", seed=3))}


@pytest.mark.parametrize("name", GUIDERS)
@pytest.mark.parametrize("branches", ["both", "cond"])
def test_a_guider_equals_the_hosts_apply(
    host, third, our_net, host_net, model_of, conditioning_of, name, branches
) -> None:
    image, net = host.give(picture()), our_net("narrow")
    theirs = with_host_control(third, host_net("narrow"), image, negative=branches == "both")
    if branches == "both":
        theirs = host_control_on_middle(theirs)
    ours = with_our_control(third, host.give(net), image, branches=branches)
    unet = model_of("narrow", v_prediction=False).model.diffusion_model
    with counted(unet) as calls, contexts(net) as contexts_of_net:
        result = host.run(guided(ours, *GUIDERS[name]), keep={"latent": ["sampler", 0]})
    assert largest_difference(latents(host, guided(theirs, *GUIDERS[name])), result["latent"]["samples"]) <= CLOSE
    assert list(calls) == [ROWS[name]] * 2
    positive = conditioning_of("narrow", seed=1)[0][0]
    for context in contexts_of_net:
        assert context.shape[0] == (ROWS[name] if branches == "both" else 1)
        assert sum(torch.equal(row, positive[0]) for row in context) == 1
    assert len(contexts_of_net) == 2 and not result.sent("zeroctl.notice")


def test_uncond_is_everything_but_positive(host, third, our_net, conditioning_of) -> None:
    net = our_net("narrow")
    graph = with_our_control(third, host.give(net), host.give(picture()), branches="uncond")
    with contexts(net) as contexts_of_net:
        latents(host, guided(graph, *GUIDERS["dual cfg"]))
    others = [conditioning_of("narrow", seed=seed)[0][0][0] for seed in (2, 3)]
    for context in contexts_of_net:
        assert len(context) == 2 and all(any(torch.equal(row, other) for other in others) for row in context)
    assert len(contexts_of_net) == 2


PATCHES = {
    "sag": ("SelfAttentionGuidance", {"scale": 0.7, "blur_sigma": 2.0}),
    "pag": ("PerturbedAttentionGuidance", {"scale": 3.0}),
    "slg": (
        "SkipLayerGuidanceDiT",
        {
            "double_layers": "7",
            "single_layers": "7",
            "scale": 3.0,
            "start_percent": 0.0,
            "end_percent": 1.0,
            "rescaling_scale": 0.2,
        },
    ),
    "slg simple": (
        "SkipLayerGuidanceDiTSimple",
        {"double_layers": "7", "single_layers": "7", "start_percent": 0.0, "end_percent": 1.0},
    ),
    "rescale": ("RescaleCFG", {"multiplier": 0.7}),
}
# calls of the UNet in a step, and of our net when only cond is controlled
EXTRA = {"sag": (2, 1), "pag": (2, 2), "slg": (2, 2), "slg simple": (2, 1), "rescale": (1, 1)}


@pytest.mark.parametrize("name", PATCHES)
@pytest.mark.parametrize("branches", ["both", "cond"])
def test_a_guidance_patch_equals_the_hosts_apply(
    host, graph_of, our_net, host_net, model_of, conditioning_of, name, branches
) -> None:
    """SAG runs [negative] alone, PAG and SLG [positive]: their index says nothing."""
    class_type, inputs = PATCHES[name]
    graph, image, net = graph_of(), host.give(picture()), our_net("narrow")
    theirs = with_patch(
        with_host_control(graph, host_net("narrow"), image, negative=branches == "both"), class_type, **inputs
    )
    unet = model_of("narrow", v_prediction=False).model.diffusion_model
    with counted(unet) as calls, contexts(net) as contexts_of_net:
        ours = host.run(
            with_patch(with_our_control(graph, host.give(net), image, branches=branches), class_type, **inputs),
            keep={"latent": ["sampler", 0]},
        )
    before = with_our_control(with_patch(graph, class_type, **inputs), host.give(net), image, branches=branches)
    result = ours["latent"]["samples"]
    assert largest_difference(latents(host, theirs), result) <= CLOSE
    assert torch.equal(latents(host, before), result)
    assert len(calls) == 2 * EXTRA[name][0]
    if branches == "cond":
        positive = conditioning_of("narrow", seed=1)[0][0]
        assert len(contexts_of_net) == 2 * EXTRA[name][1]
        assert all(torch.equal(context, positive) for context in contexts_of_net)
    assert not ours.sent("zeroctl.notice")


def old_perp_neg(graph: Graph) -> Graph:
    return with_patch(graph, "PerpNeg", empty_conditioning=["middle", 0], neg_scale=0.8)


def test_a_list_that_nobody_owns_is_said_where_it_matters(host, third, our_net, conditioning_of) -> None:
    """The old Perp-Neg runs a cond of its own, index 0 of its call."""
    net, image = our_net("narrow"), host.give(picture())
    with contexts(net) as contexts_of_net:
        ours = host.run(
            old_perp_neg(with_our_control(third, host.give(net), image, branches="cond")),
            keep={"latent": ["sampler", 0]},
        )
    (notice,) = ours.sent("zeroctl.notice")
    assert notice["title"] == "Roles guessed" and "one branch" in notice["text"]
    assert [len(context) for context in contexts_of_net] == [1, 1, 1, 1]
    both = host.run(old_perp_neg(with_our_control(third, host.give(net), image)), keep={"latent": ["sampler", 0]})
    assert not both.sent("zeroctl.notice")


def test_the_old_perp_neg_equals_its_guider(host, third, our_net) -> None:
    """The host's own Apply cannot be put on its empty cond: it is never made ready for the run."""
    graph = with_our_control(third, host.give(our_net("narrow")), host.give(picture()))
    class_type, inputs = GUIDERS["perp neg"]
    theirs = latents(host, guided(graph, class_type, {**inputs, "cfg": 7.0}))
    assert largest_difference(theirs, latents(host, old_perp_neg(graph))) <= CLOSE


def test_differential_diffusion_equals_the_host(host, graph_of, our_net, host_net) -> None:
    graph, image = graph_of(steps=3), host.give(picture())
    graph["mask"] = host.give(torch.linspace(0, 1, 64).expand(1, 64, 64).clone())
    graph["noise mask"] = node("SetLatentNoiseMask", samples=["latent", 0], mask=["mask", 0])
    graph["sampler"]["inputs"]["latent_image"] = ["noise mask", 0]
    graph = with_patch(graph, "DifferentialDiffusion")
    for branches in ("both", "cond"):
        theirs = latents(host, with_host_control(graph, host_net("narrow"), image, negative=branches == "both"))
        ours = latents(host, with_our_control(graph, host.give(our_net("narrow")), image, branches=branches))
        assert largest_difference(theirs, ours) <= CLOSE


DUAL_MODEL = (
    "DualModelGuider",
    {"model_negative": ["other", 0], "positive": "positive", "negative": "negative", "cfg": 6.0},
)


@pytest.fixture
def second_model(host, graph_of, model_of):
    """A graph for the guider that runs the negative on a second MODEL (a different one)."""
    if "DualModelGuider" not in host.nodes.NODE_CLASS_MAPPINGS:
        pytest.skip(f"ComfyUI {host.version} has no guider with a second MODEL")
    return {**graph_of(), "other": host.give(model_of("narrow", seed=5))}


@pytest.mark.parametrize("branches", ["both", "cond"])
def test_a_second_model_gets_the_roles_right(host, second_model, our_net, host_net, branches) -> None:
    """The negative list is a copy there, index 0 of its call; the host runs it with what the first MODEL carries."""
    image, net = host.give(picture()), our_net("narrow")
    theirs = with_host_control(second_model, host_net("narrow"), image, negative=branches == "both")
    ours = with_our_control(second_model, host.give(net), image, branches=branches)
    with counted(net.control_model.net) as calls:
        result = host.run(guided(ours, *DUAL_MODEL), keep={"latent": ["sampler", 0]})
    assert largest_difference(latents(host, guided(theirs, *DUAL_MODEL)), result["latent"]["samples"]) <= CLOSE
    assert list(calls) == [1] * (4 if branches == "both" else 2)
    assert [notice["title"] for notice in result.sent("zeroctl.notice")] == ["Second model"]


def test_a_second_model_of_another_family_is_refused_in_our_words(host, second_model, our_net, model_of) -> None:
    second_model["other"] = host.give(model_of("narrow21"))
    graph = with_our_control(second_model, host.give(our_net("narrow")), host.give(picture()))
    with pytest.raises(NodeFailed, match="is a control for SD 1.5 .*, the MODEL is SD20"):
        latents(host, guided(graph, *DUAL_MODEL))
