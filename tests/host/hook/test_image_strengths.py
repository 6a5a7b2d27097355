"""A strength for each latent of a batch: each is the run that it would be alone, and what is 0 is not computed."""

from __future__ import annotations

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
from host_graphs import node
from host_process import Host, NodeFailed

FELT = 1e-3


@pytest.mark.parametrize("foreign", [False, True], ids=["ours", "the host's net"])
@pytest.mark.parametrize(("text", "values"), [("1, 0, -0.5, 0.25", (1, 0, -0.5, 0.25)), ("1@0, 0@2", (1, 0.5, 0, 0))])
def test_each_latent_has_its_own_strength(host, graph_of, our_net, host_net, text, values, foreign) -> None:
    graph, image = graph_of(batch=4), host.give(picture(batch=4))
    net = host_net("narrow") if foreign else host.give(our_net("narrow"))
    result = latents(host, with_our_control(graph, net, image, strength=0.8, image_strengths=text))
    for row, value in enumerate(values):
        alone = latents(host, with_our_control(graph, net, image, strength=0.8 * value))
        if value == 0:
            assert torch.equal(result[row], latents(host, graph)[row])
        assert largest_difference(result[row], alone[row]) <= CLOSE
    assert largest_difference(result, latents(host, with_our_control(graph, net, image, strength=0.8))) > FELT


def test_ones_and_no_text_are_the_same_to_the_bit(host, graph_of, our_net) -> None:
    graph, image, net = graph_of(batch=2), host.give(picture(batch=2)), host.give(our_net("narrow"))
    plain = latents(host, with_our_control(graph, net, image))
    for text in ("1, 1", "1", "1@0, 1@9", " "):
        assert torch.equal(plain, latents(host, with_our_control(graph, net, image, image_strengths=text)))


def test_rows_of_strength_0_are_not_computed(host, graph_of, our_net) -> None:
    net = our_net("narrow")
    graph = graph_of(batch=4)
    for inputs, rows in (({}, 2), ({"branches": "cond"}, 1)):
        controlled = with_our_control(
            graph, host.give(net), host.give(picture()), image_strengths="0, 0, 1, 0", **inputs
        )
        with counted(net.control_model.net) as calls:
            latents(host, controlled)
        assert list(calls) == [rows] * 2


def test_a_control_for_each_image_of_a_batch(host, graph_of, our_net) -> None:
    """Two nets, each on an image of its own: as two runs, and each computes its rows alone."""
    graph, nets = graph_of(batch=2), [our_net("narrow"), our_net("narrow", 1)]
    images = [host.give(picture(seed=seed)) for seed in (0, 1)]
    stacked = with_our_control(graph, host.give(nets[0]), images[0], name="one", image_strengths="1, 0")
    stacked = with_our_control(
        stacked, host.give(nets[1]), images[1], name="two", image_strengths="0, 1", stack=["one control", 0]
    )
    stacked["two"]["inputs"]["model"] = ["model", 0]
    with counted(nets[0].control_model.net) as first, counted(nets[1].control_model.net) as second:
        together = latents(host, stacked)
    assert list(first) == list(second) == [2, 2]
    for row, net in enumerate(nets):
        alone = latents(host, with_our_control(graph, host.give(net), images[row]))
        assert largest_difference(together[row], alone[row]) <= CLOSE


def test_latents_of_a_context_window_keep_their_strengths(host, graph_of, our_net, host_net) -> None:
    graph, image = graph_of(batch=4, steps=3), host.give(picture())
    window = host.nodes.NODE_CLASS_MAPPINGS["ContextWindowsManual"].INPUT_TYPES()["required"]
    inputs = {name: spec[1]["default"] for name, spec in window.items() if "default" in spec[1]}
    settings = {"context_length": 2, "context_overlap": 0, "context_schedule": "standard_static", "dim": 0}
    graph["window"] = node("ContextWindowsManual", **{**inputs, "model": ["model", 0], **settings})
    net = our_net("narrow")
    whole = latents(host, with_our_control(graph, host.give(net), image, image_strengths="1, 0, 0.5, 0"))
    graph["sampler"]["inputs"]["model"] = ["window", 0]
    for control in (host.give(net), host_net("narrow")):
        windowed = latents(host, with_our_control(graph, control, image, image_strengths="1, 0, 0.5, 0"))
        assert largest_difference(whole, windowed) <= CLOSE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1, half", "image_strengths: 'half' is not a number for latent 1"),
        (
            "1@2, 0@1",
            "image_strengths: curve: the point at 1 follows the one at 2; write the points in the order of the latents",
        ),
        ("nan", "image_strengths: the strength of latent 0 is nan"),
    ],
)
def test_what_cannot_be_read_is_refused(host, graph_of, our_net, text, message) -> None:
    graph = with_our_control(graph_of(), host.give(our_net("narrow")), host.give(picture()), image_strengths=text)
    with pytest.raises(NodeFailed, match=message):
        latents(host, graph)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0, 0", "its image_strengths are 0 for every latent"),
        ("0@0, 1@5", "its image_strengths are 0 for the 1 latent of this run"),
        ("0, 1", "its image_strengths are 0 for the 1 latent of this run"),
    ],
)
def test_a_control_that_cannot_act_is_said_or_refused(host, graph_of, our_net, text, message) -> None:
    graph, image, net = graph_of(), host.give(picture()), host.give(our_net("narrow"))
    inputs: dict[str, Any] = {"image_strengths": text}
    with pytest.raises(NodeFailed, match=message):
        latents(host, with_our_control(graph, net, image, if_never_applied="error", **inputs))
    result = host.run(with_our_control(graph, net, image, **inputs), keep={"latent": ["sampler", 0]})
    assert "Control never acted" in titles(result)
    assert torch.equal(result["latent"]["samples"], latents(host, graph))


def test_a_number_of_strengths_that_does_not_fit_the_batch_is_said(host: Host, graph_of, our_net) -> None:
    graph = with_our_control(
        graph_of(batch=2), host.give(our_net("narrow")), host.give(picture()), image_strengths="1, 0, 0.5"
    )
    result = host.run(graph, keep={"latent": ["sampler", 0], "report": ["ours", 1]})
    (notice,) = result.sent("zeroctl.notice")
    assert "has 3 image strengths for 2 latents: latent r uses strength r mod 3" in notice["text"]
    assert "times a strength for each latent, from the first: 1 0 0.5" in result["report"]


@pytest.mark.parametrize(
    ("keyframes", "text"),
    [
        (node("LatentKeyframeGroup", index_strengths="0=1.0, 1=0.5, 3=0.25"), "1, 0.5, 0, 0.25"),
        (
            node(
                "LatentKeyframeTiming",
                batch_index_from=0,
                batch_index_to_excl=4,
                strength_from=1.2,
                strength_to=0.0,
                interpolation="linear",
            ),
            "1.2@0, 0@3",
        ),
    ],
    ids=["group", "interpolation"],
)
def test_they_equal_the_latent_keyframes_of_advanced_controlnet(
    acn, graph_of, controlnet_file, our_net, keyframes, text
) -> None:
    graph, image = graph_of(batch=4), acn.give(picture(batch=4))
    graph["latent keyframes"] = keyframes
    graph["keyframe"] = node("TimestepKeyframe", start_percent=0.0, latent_keyframe=["latent keyframes", 0])
    file = controlnet_file("narrow", 0, torch.float32).name
    theirs = node("ACN_ControlNetLoaderAdvanced", cnet=file, _tk_opt=["keyframe", 0])
    expected = latents(acn, with_host_control(graph, theirs, image, strength=0.8))
    net = acn.give(our_net("narrow"))
    ours = latents(acn, with_our_control(graph_of(batch=4), net, image, strength=0.8, image_strengths=text))
    assert largest_difference(expected, ours) <= CLOSE
    assert largest_difference(ours, latents(acn, with_our_control(graph, net, image, strength=0.8))) > FELT
