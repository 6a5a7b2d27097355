"""A control that reads tokens of its own, as InstantID's does, beside controls that read the prompt."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from control_graphs import CLOSE, counted, largest_difference, latents, picture, with_host_control, with_our_control
from host_graphs import Graph, node
from host_process import Host, NodeFailed
from random_weights import SPECS, adapter_shapes, random_state_dict
from safetensors.torch import save_file

FELT = 1e-3
WIDTH = SPECS["narrowxl"].context_dim


def tokens(seed: int, n: int = 16, width: int = WIDTH) -> torch.Tensor:
    return torch.randn(1, n, width, generator=torch.Generator().manual_seed(seed))


def with_face(conditioning: list[list[Any]], face: torch.Tensor) -> list[list[Any]]:
    """As the nodes of InstantID hand it on: the prompt, and the face's tokens for controls."""
    return [[prompt, {**values, "cross_attn_controlnet": face}] for prompt, values in conditioning]


@pytest.fixture()
def faces(conditioning_of) -> tuple[list[list[Any]], list[list[Any]]]:
    """CONDITIONING for the two sides of the guidance."""
    positive, negative = (conditioning_of("narrowxl", seed=seed) for seed in (1, 2))
    return with_face(positive, tokens(5)), with_face(negative, tokens(6))


def reading(host: Host, faces: Any, **inputs: Any) -> dict[str, Any]:
    extra = {"face": host.give(faces[0]), "no face": host.give(faces[1])}
    return {"extra": extra, "context": ["face", 0], "context_negative": ["no face", 0], **inputs}


def prompted(graph: Graph, host: Host, faces: Any) -> Graph:
    """The graph with the CONDITIONING of InstantID in the place of its prompts."""
    return {**graph, "positive": host.give(faces[0]), "negative": host.give(faces[1])}


@pytest.mark.parametrize("foreign", [False, True], ids=["ours", "the host's net"])
@pytest.mark.parametrize("negative", [True, False], ids=["both", "cond"])
def test_it_equals_the_hosts_apply_with_the_tokens_in_the_prompt(
    host, graph_of, our_net, host_net, faces, negative, foreign
) -> None:
    graph, image = graph_of("narrowxl"), host.give(picture())
    expected = latents(
        host, with_host_control(prompted(graph, host, faces), host_net("narrowxl"), image, negative, strength=0.8)
    )
    net = host_net("narrowxl") if foreign else host.give(our_net("narrowxl"))
    inputs = reading(host, faces, branches="both" if negative else "cond", strength=0.8)
    assert largest_difference(expected, latents(host, with_our_control(graph, net, image, **inputs))) <= CLOSE
    prompt = latents(host, with_our_control(graph, net, image, branches=inputs["branches"], strength=0.8))
    assert largest_difference(expected, prompt) > FELT


def test_a_control_beside_it_reads_the_prompt(host, graph_of, our_net, host_net, faces) -> None:
    graph, images = graph_of("narrowxl"), [host.give(picture(seed=seed)) for seed in (0, 1)]
    face = reading(host, faces)
    # the host's Apply on the plain prompts for the one beside it: its own chain would give it the face's tokens
    beside = with_host_control(graph, host_net("narrowxl", 1), images[1], strength=0.7)
    expected = latents(host, with_our_control(beside, host.give(our_net("narrowxl")), images[0], **face))
    stacked = with_our_control(graph, host.give(our_net("narrowxl", 1)), images[1], name="beside", strength=0.7)
    stacked = with_our_control(stacked, host.give(our_net("narrowxl")), images[0], stack=["beside control", 0], **face)
    stacked["ours"]["inputs"]["model"] = ["model", 0]
    assert largest_difference(expected, latents(host, stacked)) <= CLOSE
    chain = with_host_control(prompted(graph, host, faces), host_net("narrowxl"), images[0], name="one")
    chain = with_host_control(chain, host_net("narrowxl", 1), images[1], name="two", strength=0.7)
    assert largest_difference(expected, latents(host, chain)) > FELT


def test_the_plain_prompt_as_context_keeps_the_faces_tokens_from_a_control(
    host, graph_of, our_net, faces, conditioning_of
) -> None:
    graph, image = graph_of("narrowxl"), host.give(picture())
    plain = [conditioning_of("narrowxl", seed=seed) for seed in (1, 2)]
    expected = latents(host, with_our_control(graph, host.give(our_net("narrowxl")), image))
    instant = prompted(graph, host, faces)
    ours = latents(host, with_our_control(instant, host.give(our_net("narrowxl")), image, **reading(host, plain)))
    assert largest_difference(expected, ours) <= CLOSE
    assert (
        largest_difference(expected, latents(host, with_our_control(instant, host.give(our_net("narrowxl")), image)))
        > FELT
    )


def test_sides_of_other_lengths_are_one_run_on_the_rows_that_see_it(host, graph_of, our_net, conditioning_of) -> None:
    """77 tokens and 16 are repeated to one length; with context alone both sides read the same."""
    graph, image, net = graph_of("narrowxl", batch=2), host.give(picture()), our_net("narrowxl")
    uneven = with_face(conditioning_of("narrowxl", seed=1), tokens(5)), conditioning_of("narrowxl", seed=2)
    expected = latents(host, with_our_control(prompted(graph, host, uneven), host.give(net), image))
    with counted(net.control_model.net) as calls:
        ours = latents(host, with_our_control(graph, host.give(net), image, **reading(host, uneven)))
    assert list(calls) == [4, 4]
    assert largest_difference(expected, ours) <= CLOSE
    inputs = reading(host, uneven)
    del inputs["context_negative"]
    alone = latents(host, with_our_control(graph, host.give(net), image, **inputs))
    same = latents(host, with_our_control(graph, host.give(net), image, **reading(host, (uneven[0], uneven[0]))))
    assert torch.equal(alone, same)


def test_prompts_with_the_same_tokens_are_one_context(host, graph_of, our_net, faces, conditioning_of) -> None:
    """As InstantID hands on prompts that were combined."""
    graph, image, net = graph_of("narrowxl"), host.give(picture()), host.give(our_net("narrowxl"))
    combined = [*faces[0], *with_face(conditioning_of("narrowxl", seed=3), faces[0][0][1]["cross_attn_controlnet"])]
    one, other = (
        latents(host, with_our_control(graph, net, image, **reading(host, (positive, faces[1]))))
        for positive in (faces[0], combined)
    )
    assert torch.equal(one, other)


def test_the_report_says_it_and_a_plain_stack_names_what_it_loses(host, graph_of, our_net, faces) -> None:
    graph = with_our_control(
        graph_of("narrowxl"), host.give(our_net("narrowxl")), host.give(picture()), **reading(host, faces)
    )
    graph["to"] = node("ZeroctlStackToLegacy", stack=["ours control", 0])
    result = host.run(graph, keep={"report": ["ours", 1], "lost": ["to", 1]})
    assert "reads a context of its own in the place of the prompt: 16 and 16 tokens" in result["report"]
    assert "not carried over: the context of its own" in result["lost"]


def refused(host: Host, graph: Graph, message: str) -> None:
    with pytest.raises(NodeFailed, match=message):
        latents(host, graph)


def test_what_no_control_can_read_is_refused_before_sampling(host, graph_of, our_net, faces, conditioning_of) -> None:
    graph, image, net = graph_of("narrowxl"), host.give(picture()), host.give(our_net("narrowxl"))
    narrow = with_face(faces[0], tokens(1, width=768)), with_face(faces[1], tokens(2, width=768))
    message = f"control 1: its context has tokens 768 numbers wide, the net reads {WIDTH}"
    refused(host, with_our_control(graph, net, image, **reading(host, narrow)), message)
    mixed = with_our_control(graph, net, image, **reading(host, (narrow[0], faces[1])))
    refused(host, mixed, "the tokens of the two sides are 768 and 2048 numbers wide")
    two = with_our_control(graph, net, image, **reading(host, ([*faces[0], *faces[1]], faces[1])))
    refused(host, two, "context has 2 prompts, and a control reads one")
    nan = with_our_control(graph, net, image, **reading(host, (faces[0], with_face(faces[1], tokens(1) * torch.nan))))
    refused(host, nan, "context_negative has tokens of NaN or infinity")
    alone = reading(host, faces)
    del alone["context"]
    refused(host, with_our_control(graph, net, image, **alone), "context_negative is connected and context is not")
    wrong = with_our_control(graph, net, image, **{**reading(host, faces), "context": "prompt"})
    refused(host, wrong, "context is 'prompt', expected a CONDITIONING")


def test_a_net_that_reads_no_prompt_takes_no_context(host, graph_of, faces) -> None:
    path = host.base / "models" / "controlnet" / "t2i-without-prompt.safetensors"
    save_file(random_state_dict(adapter_shapes(64, xl=True)), path)
    inputs = reading(host, faces)
    for loader, message in (
        ("ZeroctlLoadControlNet", "its net is a T2I-Adapter, which reads none. Disconnect it"),
        ("ControlNetLoader", "a net of the kind T2IAdapter may read none. Disconnect it"),
    ):
        net = node(loader, control_net_name=path.name)
        refused(host, with_our_control(graph_of("narrowxl"), net, host.give(picture()), **inputs), message)
