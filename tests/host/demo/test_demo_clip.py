"""The embedded text encoder as a CLIP: brackets weigh as in the host, and nothing of a prompt is lost in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from demo_graphs import PROMPT, demo_graph
from host_graphs import node
from host_process import Host, NodeFailed, Result

from zeroctl_core.demo.model import DemoModel
from zeroctl_core.demo.words import MAX_TOKENS

CLOSE = 1e-6


def encoded(host: Host, prompt: str) -> tuple[torch.Tensor, dict[str, Any], Result]:
    graph = {"demo": node("ZeroctlDemoModel"), "text": node("CLIPTextEncode", text=prompt, clip=["demo", 1])}
    result = host.run(graph, keep={"cond": ["text", 0]})
    ((context, extra),) = result["cond"]
    return context, extra, result


@pytest.mark.parametrize("prompt", [PROMPT, "", "A RED star, on a (blue) background!"])
def test_a_prompt_gives_the_cores_context(host: Host, demo_weights: Path, prompt: str) -> None:
    context, extra, result = encoded(host, prompt.replace("(", "\\(").replace(")", "\\)"))
    assert context.shape == (1, MAX_TOKENS, 64)
    assert (context - DemoModel.load(demo_weights).context([prompt])).abs().max() <= CLOSE
    assert extra["pooled_output"] is None
    assert not result.sent("zeroctl.notice")


@pytest.mark.parametrize(
    "prompt, weights",
    [
        ("a (red:1.3) star on a blue background", {1: 1.3}),
        ("a (red star) on a blue background", {1: 1.1, 2: 1.1}),
        ("a ((red)) star on a (blue background:0.5)", {1: 1.1 * 1.1, 4: 0.5, 5: 0.5}),
        ("a (scarlet:1.3) star on (a blue:0.5) backdrop", {1: 1.3, 4: 0.5}),
        ("a (red:1.0) star on a blue background", {}),
    ],
)
def test_a_weight_moves_a_token_away_from_the_empty_prompts(
    host: Host, demo_weights: Path, prompt: str, weights: dict[int, float]
) -> None:
    plain, empty = DemoModel.load(demo_weights).context([PROMPT, ""])
    factors = torch.ones(MAX_TOKENS, 1)
    for place, weight in weights.items():
        factors[place] = weight
    context, _, _ = encoded(host, prompt)
    assert (context[0] - (empty + (plain - empty) * factors)).abs().max() <= CLOSE


def test_unknown_words_are_named_and_left_out(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    context, _, result = encoded(host, "a shiny (red:1.3) star on a marble (blue:1.0) background")
    expected, _, _ = encoded(host, "a (red:1.3) star on a blue background")
    assert torch.equal(context, expected)
    (notice,) = result.sent("zeroctl.notice")
    for text in (notice["text"], caplog.text):
        assert "'shiny' (left out), 'marble' (left out)" in text
        assert text.split("nearest first: ")[1].count(", ") == 12 and "info of Load Demo Model" in text


def test_an_unknown_noun_is_a_thing_with_the_weight_of_the_noun(host: Host) -> None:
    context, _, result = encoded(host, "a red (dragon:1.3) on a blue background")
    expected, _, _ = encoded(host, "a red (thing:1.3) on a blue background")
    assert torch.equal(context, expected)
    (notice,) = result.sent("zeroctl.notice")
    assert "'dragon' (read as 'thing')" in notice["text"]


def test_an_article_has_no_token_and_its_weight_no_effect(host: Host) -> None:
    context, _, result = encoded(host, "(a:1.5) red star on (the:0.3) blue background")
    assert torch.equal(context, encoded(host, PROMPT)[0])
    assert not result.sent("zeroctl.notice")


def test_words_beyond_the_last_place_are_named_and_left_out(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    full = " and ".join(["a red star"] * 5)
    context, _, result = encoded(host, f"{full} (moon:1.5) ring")
    expected, _, _ = encoded(host, full)
    assert torch.equal(context, expected)
    (notice,) = result.sent("zeroctl.notice")
    for text in (notice["text"], caplog.text):
        assert "moon, ring" in text and "first 14 words" in text


@pytest.mark.parametrize("layer", [-1, -2])
def test_clip_set_last_layer_is_refused_by_name(host: Host, layer: int) -> None:
    graph = demo_graph()
    graph["layer"] = node("CLIPSetLastLayer", clip=["demo", 1], stop_at_clip_layer=layer)
    graph["positive"]["inputs"]["clip"] = ["layer", 0]
    with pytest.raises(NodeFailed, match="CLIPSetLastLayer.*whole text encoder only.*Remove"):
        host.run(graph, keep={"cond": ["positive", 0]})


def test_a_clone_is_the_same_encoder_and_refuses_too(host: Host) -> None:
    clip = host.run({"demo": node("ZeroctlDemoModel")}, keep={"clip": ["demo", 1]})["clip"]
    clone = clip.clone()
    assert type(clone) is type(clip) and clone.patcher is not clip.patcher
    tokens = clone.tokenize(PROMPT)
    assert torch.equal(clone.encode_from_tokens(tokens), clip.encode_from_tokens(tokens))
    with pytest.raises(ValueError, match="CLIP Set Last Layer asks for the layer"):
        clone.clip_layer(-2)
    clone.layer_idx = -2  # as a pack sets it that knows the host's class
    with pytest.raises(ValueError, match="CLIP Set Last Layer asks for the layer"):
        clone.encode_from_tokens(tokens)


def test_tokens_are_told_with_their_words(host: Host) -> None:
    clip = host.run({"demo": node("ZeroctlDemoModel")}, keep={"clip": ["demo", 1]})["clip"]
    (((first, *_), *_),) = clip.tokenize(PROMPT).values()
    assert first == (0, 1.0)
    (row,) = clip.tokenize("a (red:1.3) star", return_word_ids=True)["zeroctl"]
    assert [word_id for _, _, word_id in row] == [0, 1, 2] + [0] * 13
    words = [word for _, word in clip.tokenizer.untokenize(row)]
    assert words == ["<bos>", "red", "star"] + ["<eos>"] * 13


@pytest.mark.parametrize(
    "class_type, inputs", [("ConditioningAverage", {"conditioning_to_strength": 0.5}), ("ConditioningConcat", {})]
)
def test_conds_are_averaged_and_joined(host: Host, class_type: str, inputs: dict[str, Any]) -> None:
    graph = demo_graph()
    graph["both"] = node(class_type, conditioning_to=["positive", 0], conditioning_from=["negative", 0], **inputs)
    graph["sampler"]["inputs"]["positive"] = ["both", 0]
    result = host.run(graph, keep={"cond": ["both", 0], "latent": ["sampler", 0]})
    assert result["cond"][0][0].shape[1] == (MAX_TOKENS if class_type == "ConditioningAverage" else 2 * MAX_TOKENS)
    assert torch.isfinite(result["latent"]["samples"]).all()
