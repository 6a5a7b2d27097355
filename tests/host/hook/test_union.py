"""A union ControlNet of our loader: equal to the host's in both Applies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from control_graphs import CLOSE, largest_difference, latents, picture, with_host_control, with_our_control
from host_graphs import Graph, node
from host_models import filled
from host_process import Host, NodeFailed
from random_weights import random_controlnet
from safetensors.torch import save_file
from torch import nn

FELT = 1e-3  # by what a control moves them at least


def network_of_the_host(n_types: int) -> nn.Module:
    """The host's union network for a thin SDXL, with random weights; it makes them for 320 channels alone."""
    import comfy.cldm.cldm
    import comfy.model_detection

    weights = random_controlnet("thinxl", spread=0.1)
    config = comfy.model_detection.model_config_from_unet(weights, "", True).unet_config
    config.pop("out_channels")
    network = comfy.cldm.cldm.ControlNet(
        **config, hint_channels=3, dtype=torch.float32, union_controlnet_num_control_type=n_types
    )
    filled(network).load_state_dict(weights, strict=False)
    return network


@pytest.fixture(scope="session")
def nets(host: Host) -> tuple[Any, Any]:
    """One union net of six types, as the host's and as ours from a file of the same weights."""
    import comfy.controlnet
    import comfy.model_management

    with torch.inference_mode():
        network = network_of_the_host(6)
        theirs = comfy.controlnet.ControlNet(network, load_device=comfy.model_management.get_torch_device())
        path: Path = host.base / "models" / "controlnet" / "union-thinxl.safetensors"
        state = {key.replace(".in_proj.", ".in_proj_"): value for key, value in network.state_dict().items()}
        save_file(state, path)
        graph = {"net": node("ZeroctlLoadControlNet", control_net_name=path.name)}
        result = host.run(graph, keep={"net": ["net", 0], "info": ["net", 1]})
    assert "types: 6 of a union (openpose, depth," in result["info"]
    return theirs, result["net"]


Typed = Callable[[Any, str], Graph]


@pytest.fixture()
def typed(host: Host, graph_of: Callable[..., Graph]) -> Typed:
    """`typed(net, type)`: a graph on its MODEL with Set Union ControlNet Type on that net, at `net`."""
    return lambda net, kind: {
        **graph_of("thinxl"),
        "union": host.give(net),
        "net": node("SetUnionControlNetType", control_net=["union", 0], type=kind),
    }


def test_a_type_equals_the_hosts_in_both_applies(host, nets, typed) -> None:
    theirs, ours = nets
    image, results = host.give(picture()), []
    for kind in ("auto", "depth"):
        expected = latents(
            host, with_host_control(typed(theirs, kind), typed(theirs, kind)["net"], image, strength=0.8)
        )
        graph = typed(ours, kind)
        for apply in (with_host_control, with_our_control):
            assert largest_difference(expected, latents(host, apply(graph, graph["net"], image, strength=0.8))) <= CLOSE
        results.append(expected)
    assert largest_difference(*results) > FELT


def test_a_type_that_the_net_does_not_have_is_refused_before_sampling(host, nets, typed) -> None:
    graph = typed(nets[1], "repaint")
    with pytest.raises(NodeFailed, match=r"^ours .*control 1: the type 7 \(repaint\) is not one of the 6 .*ProMax"):
        latents(host, with_our_control(graph, graph["net"], host.give(picture())))
