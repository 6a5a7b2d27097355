"""The embedded autoencoder as a VAE: whole, in tiles, and for inpainting, under Stable Diffusion's conventions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from control_graphs import latents
from demo_graphs import a_rendering, controlled, demo_graph
from host_graphs import Graph, node
from host_process import Host
from torch import Tensor

from zeroctl_core.demo.autoencoder import SCALE
from zeroctl_core.demo.model import DemoModel
from zeroctl_core.demo.scene import SIZE

CLOSE = 1e-5
TILED = 0.12  # mean difference in spreads: a tile does not see beyond its edge, and the host fades it into the next


@pytest.fixture(scope="module")
def picture() -> Tensor:
    """A scene twice as large as the model's, [1, 256, 256, 3]: more than one tile."""
    image = a_rendering().image
    return torch.nn.functional.interpolate(image, scale_factor=2, mode="bilinear").movedim(1, -1)


def run(host: Host, class_type: str, **inputs: Any) -> Any:
    graph = {"demo": node("ZeroctlDemoModel"), "made": node(class_type, vae=["demo", 2], **inputs)}
    links: Graph = {}
    for name, value in inputs.items():
        if not isinstance(value, (int, float, str, bool)):
            links[name] = host.give(value)
            graph["made"]["inputs"][name] = [name, 0]
    return host.run({**graph, **links}, keep={"made": ["made", 0]})["made"]


def test_it_encodes_and_decodes_as_the_core_does(host: Host, demo_weights: Path, picture: Tensor) -> None:
    parts = DemoModel.load(demo_weights)
    latent = run(host, "VAEEncode", pixels=picture)["samples"]
    assert (latent - parts.autoencoder.encode(picture.movedim(-1, 1))).abs().max() <= CLOSE * 10
    decoded = run(host, "VAEDecode", samples={"samples": latent})
    assert decoded.shape == picture.shape
    assert (decoded - parts.picture(latent * SCALE).movedim(1, -1)).abs().max() <= CLOSE


def test_a_batch_and_odd_sides_are_encoded(host: Host, picture: Tensor) -> None:
    batch = torch.cat((picture, 1 - picture))[:, :100, :77]
    latent = run(host, "VAEEncode", pixels=batch)["samples"]
    assert latent.shape == (2, 4, 12, 9)


def test_tiles_join_to_the_whole(host: Host, picture: Tensor) -> None:
    latent = run(host, "VAEEncode", pixels=picture)["samples"]
    tiles = {"tile_size": 128, "overlap": 32, "temporal_size": 64, "temporal_overlap": 8}
    tiled_latent = run(host, "VAEEncodeTiled", pixels=picture, **tiles)["samples"]
    assert (tiled_latent - latent).abs().mean() <= TILED * latent.std()
    whole = run(host, "VAEDecode", samples={"samples": latent})
    tiled = run(host, "VAEDecodeTiled", samples={"samples": latent}, **tiles)
    assert tiled.shape == whole.shape and (tiled - whole).abs().mean() <= TILED * whole.std()


@pytest.mark.parametrize("by", ["nobody", "ours", "host"])
def test_inpainting_keeps_what_the_mask_leaves(host: Host, by: str) -> None:
    image = a_rendering().image.movedim(1, -1)
    mask = torch.zeros(1, SIZE, SIZE)
    mask[..., SIZE // 2 :] = 1
    encoded = run(host, "VAEEncodeForInpaint", pixels=image, mask=mask, grow_mask_by=0)
    assert encoded["samples"].shape == (1, 4, 24, 24) and "noise_mask" in encoded
    graph = demo_graph()
    graph["latent"] = host.give(encoded)
    result = latents(host, controlled(host, graph, by))
    left = (slice(None), slice(None), slice(None), slice(0, 7))
    assert (result[left] - encoded["samples"][left]).abs().max() <= CLOSE * 100
    assert not torch.allclose(result[..., 9:], encoded["samples"][..., 9:], atol=0.1)
