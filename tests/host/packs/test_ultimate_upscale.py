"""UltimateSDUpscale: ComfyUI's Apply with our CONTROL_NET gives each tile its part, the MODEL gives each the whole."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from control_graphs import picture, with_host_control, with_our_control
from demo_graphs import EDGES, demo_graph
from host_graphs import Graph, node
from torch import Tensor

from zeroctl_core.network.condition_encoder import ConditionEncoder

SIDE, TILE = 256, 128


@pytest.fixture(autouse=True)
def pack(load_pack) -> None:
    load_pack("ComfyUI_UltimateSDUpscale")


@pytest.fixture
def conditions(monkeypatch) -> list[Tensor]:
    """The condition images that our nets encode, each once in a row."""
    images: list[Tensor] = []
    encode = ConditionEncoder.forward

    def recording(self: Any, image: Tensor) -> Tensor:
        if not images or not torch.equal(images[-1], image):
            images.append(image.clone())
        return encode(self, image)

    monkeypatch.setattr(ConditionEncoder, "forward", recording)
    return images


def tiled(host: Any, graph: Graph) -> Any:
    """The graph with the upscaler in place of its KSampler, on a picture of four tiles."""
    names = ("model", "positive", "negative", "seed", "steps", "cfg", "sampler_name", "scheduler", "denoise")
    required = host.nodes.NODE_CLASS_MAPPINGS["UltimateSDUpscaleNoUpscale"].INPUT_TYPES()["required"]
    values = {name: spec[1]["default"] for name, spec in required.items() if "default" in (spec[1:] or ({},))[0]}
    values |= {name: graph["sampler"]["inputs"][name] for name in names}
    values |= {"tile_width": TILE, "tile_height": TILE, "tile_padding": 0, "mask_blur": 0, "denoise": 0.6}
    values |= {"mode_type": "Linear", "seam_fix_mode": "None", "vae": ["demo", 2], "upscaled_image": ["start", 0]}
    graph = {**graph, "start": host.give(picture(SIDE, SIDE, seed=3))}
    graph["sampler"] = node("UltimateSDUpscaleNoUpscale", **values)
    return host.run(graph, keep={"picture": ["sampler", 0]})


def test_the_hosts_apply_gives_each_tile_its_part(host, conditions) -> None:
    image = picture(SIDE, SIDE)
    tiled(host, with_host_control(demo_graph(steps=2), EDGES, host.give(image)))
    parts = [image[:, y : y + TILE, x : x + TILE].movedim(-1, 1) for y in (0, TILE) for x in (0, TILE)]
    assert len(conditions) == 4
    for part, condition in zip(parts, conditions, strict=True):
        assert (condition[:1].float() - part).abs().max() < 0.01  # the pack cuts pictures of 8 bits


def test_the_model_gives_each_tile_the_whole(host, conditions) -> None:
    """As docs/limits.md says: the pack tells nobody which tile it samples."""
    result = tiled(host, with_our_control(demo_graph(steps=2), EDGES, host.give(picture(SIDE, SIDE))))
    assert len({tuple(condition[0, 0, 0, :8].tolist()) for condition in conditions}) == 1
    assert result["picture"].shape == (1, SIDE, SIDE, 3)
