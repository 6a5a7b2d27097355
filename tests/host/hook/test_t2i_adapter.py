"""A T2I-Adapter of our loader: equal to the host's in both Applies, and like every other kind of control."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from control_graphs import CLOSE, largest_difference, latents, picture, with_host_control, with_our_control
from host_graphs import node
from host_process import Host
from random_weights import NARROW, SPECS, adapter_shapes, random_state_dict
from safetensors.torch import save_file

FELT = 1e-3  # by what a control moves them at least
SD = replace(SPECS["narrow"], channel_mult=(1, 2, 4, 4), num_res_blocks=(2, 2, 2, 2), transformer_depth=(1, 1, 1, 0))
SDXL = replace(SPECS["narrowxl"], channel_mult=(1, 2, 4), num_res_blocks=(2, 2, 2), transformer_depth=(0, 1, 1))
KINDS: dict[str, tuple[Any, dict[str, bool]]] = {
    "full": (SD, {}),
    "grey": (SD, {"grey": True}),
    "light": (SD, {"light": True}),
    "sdxl": (SDXL, {"xl": True}),
}


def host_adapter(options: dict[str, bool]) -> Any:
    """The host's CONTROL_NET of the same weights; its own loader knows light ones of 320 channels alone."""
    import comfy.controlnet
    import comfy.t2i_adapter.adapter as adapters

    weights = random_state_dict(adapter_shapes(NARROW, **options), seed=3, spread=0.1)
    channels = [mult * NARROW for mult in (1, 2, 4, 4)]
    if not options.get("light"):
        return comfy.controlnet.load_t2i_adapter(weights)
    network = adapters.Adapter_light(cin=192, channels=channels, nums_rb=4)
    network.load_state_dict(weights)
    return comfy.controlnet.T2IAdapter(network, network.input_channels, 8, "nearest-exact")


Nets = Callable[[str], tuple[Any, dict[str, Any], Any]]


@pytest.fixture(scope="session")
def nets(host: Host) -> Nets:
    """`nets(kind)`: the MODEL's preset, the node that loads its file with our loader, the host's CONTROL_NET."""

    def make(kind: str) -> tuple[Any, dict[str, Any], Any]:
        preset, options = KINDS[kind]
        path = host.base / "models" / "controlnet" / f"t2i-{kind}.safetensors"
        if not path.exists():
            save_file(random_state_dict(adapter_shapes(NARROW, **options), seed=3, spread=0.1), path)
        with torch.inference_mode():
            return preset, node("ZeroctlLoadControlNet", control_net_name=path.name), host_adapter(options)

    return make


@pytest.mark.parametrize("negative", [True, False], ids=["both", "cond"])
@pytest.mark.parametrize("kind", KINDS)
def test_it_equals_the_hosts_in_both_applies(host, nets, graph_of, kind, negative) -> None:
    preset, ours, theirs = nets(kind)
    graph, image = graph_of(preset), host.give(picture(96, 64))
    expected = latents(host, with_host_control(graph, host.give(theirs), image, negative, strength=0.8))
    branches = "both" if negative else "cond"
    inputs = {"strength": 0.8, "branches": branches, "if_never_applied": "error"}
    assert largest_difference(expected, latents(host, with_our_control(graph, ours, image, **inputs))) <= CLOSE
    in_theirs = latents(host, with_host_control(graph, ours, image, negative, strength=0.8))
    assert largest_difference(expected, in_theirs) <= CLOSE
    assert largest_difference(expected, latents(host, graph)) > FELT
