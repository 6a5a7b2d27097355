"""The embedded model in the host's own nodes: prompts, samplers, pictures, and what changes a MODEL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from control_graphs import largest_difference, latents, with_host_control, with_our_control
from host_graphs import Graph, node
from host_process import Host, NodeFailed

from zeroctl_core import ControlStack, ControlUnit
from zeroctl_core.demo.autoencoder import SCALE
from zeroctl_core.demo.conditions import CONDITIONS
from zeroctl_core.demo.model import DemoModel, load_control
from zeroctl_core.demo.sampling import noise_of, sample
from zeroctl_core.demo.world import render, scene

PROMPT = "a red star on a blue background"
SIZE = 128
SAME_RUN = 1e-5
"""Largest difference of two latents of spread 1 after up to 20 steps; 1.5e-6 was measured on both hosts."""


def demo_graph(prompt: str = PROMPT, size: int = SIZE, batch: int = 1, **sampler: Any) -> Graph:
    """ZeroctlDemoModel -> CLIPTextEncode twice -> KSampler."""
    options = {"seed": 1, "steps": 3, "cfg": 3.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}
    return {
        "demo": node("ZeroctlDemoModel"),
        "positive": node("CLIPTextEncode", text=prompt, clip=["demo", 1]),
        "negative": node("CLIPTextEncode", text="", clip=["demo", 1]),
        "latent": node("EmptyLatentImage", width=size, height=size, batch_size=batch),
        "sampler": node(
            "KSampler",
            model=["demo", 0],
            positive=["positive", 0],
            negative=["negative", 0],
            latent_image=["latent", 0],
            **{**options, **sampler},
        ),
    }


def test_it_makes_a_picture(host: Host) -> None:
    graph = demo_graph()
    graph["decode"] = node("VAEDecode", samples=["sampler", 0], vae=["demo", 2])
    made = host.run(graph, keep={"picture": ["decode", 0], "info": ["demo", 3]})
    picture = made["picture"]
    assert picture.shape == (1, SIZE, SIZE, 3) and torch.isfinite(picture).all()
    assert 0 <= picture.min() and picture.max() <= 1 and picture.std() > 0.001
    for said in ("red", "star", "12 tokens", "96 to 192"):
        assert said in made["info"]


@pytest.mark.parametrize("steps, cfg", [(20, 3.0), (8, 1.0)])
@pytest.mark.parametrize("controlled", [False, True], ids=["plain", "controlled"])
def test_a_run_of_the_core_gives_the_same_latents(
    host: Host, demo_weights: Path, steps: int, cfg: float, controlled: bool
) -> None:
    parts = DemoModel.load(demo_weights)
    edges = CONDITIONS["edges"](render([scene(3, 0, "held_out")]))
    graph = demo_graph(seed=11, steps=steps, cfg=cfg)
    stack = None
    if controlled:
        graph = with_our_control(
            graph,
            node("ZeroctlLoadControlNet", control_net_name="zeroctl/edges"),
            host.give(edges.movedim(1, -1)),
        )
        stack = ControlStack([ControlUnit(load_control("edges", demo_weights), edges)])
    expected = sample(
        parts.unet, noise_of([11]), parts.context([PROMPT]), parts.context([""]), stack=stack, guidance=cfg, steps=steps
    )
    found = latents(host, graph) * SCALE
    assert (found - expected).abs().max() <= SAME_RUN * max(1.0, expected.std())
