"""LoRAs on the MODEL, before and behind our Apply, and as hooks of one conditioning: the control meets the patched UNet."""
from __future__ import annotations

import pytest
import torch
from control_graphs import counted, largest_difference, latents, picture, with_host_control, with_our_control
from host_graphs import Graph, node
from safetensors.torch import save_file

CLOSE = 1e-4
FELT = 1e-2
LAYER = "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q"


@pytest.fixture(scope="module")
def lora_name(bare_host) -> str:
    """A random LoRA of rank 4 on one attention of the thin UNet, where the host lists it."""
    folder = bare_host.base / "models" / "loras"
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(7)
    save_file({f"{LAYER}.lora_up.weight": torch.randn(320, 4, generator=generator),
               f"{LAYER}.lora_down.weight": torch.randn(4, 320, generator=generator)}, folder / "random.safetensors")
    return "random.safetensors"


def with_lora(graph: Graph, at: str, lora: str) -> Graph:
    """The graph with LoraLoaderModelOnly on the MODEL input of the node `at`."""
    graph["lora"] = node("LoraLoaderModelOnly", model=graph[at]["inputs"]["model"], lora_name=lora, strength_model=1.0)
    graph[at]["inputs"]["model"] = ["lora", 0]
    return graph


@pytest.mark.parametrize("at", ["ours", "sampler"], ids=["before our Apply", "behind our Apply"])
def test_a_lora_on_the_model_equals_the_hosts_apply(host, graph_of, our_net, host_net, lora_name, at) -> None:
    graph, image = graph_of(), host.give(picture())
    theirs = with_lora(with_host_control(graph, host_net("thin"), image), "sampler", lora_name)
    ours = with_lora(with_our_control(graph_of(), host.give(our_net("thin")), image), at, lora_name)
    wanted = latents(host, theirs)
    assert largest_difference(wanted, latents(host, ours)) <= CLOSE
    without = latents(host, with_host_control(graph_of(), host_net("thin"), image))
    assert largest_difference(wanted, without) > FELT


def test_a_lora_hook_on_one_conditioning_equals_the_hosts_apply(host, graph_of, our_net, host_net, lora_name) -> None:
    """The host then runs positive and negative one after the other: our net sees each once a step."""
    graph, image, net = graph_of(steps=2), host.give(picture()), our_net("thin")
    graph["hook"] = node("CreateHookLoraModelOnly", lora_name=lora_name, strength_model=1.0)
    graph["hooked"] = node("ConditioningSetProperties", cond_NEW=["positive", 0], strength=1.0, set_cond_area="default",
                           hooks=["hook", 0])
    graph["sampler"]["inputs"]["positive"] = ["hooked", 0]
    for negative in (True, False):
        theirs = latents(host, with_host_control(graph, host_net("thin"), image, negative))
        ours = with_our_control(graph, host.give(net), image, branches="both" if negative else "cond")
        with counted(net.control_model.net) as called:
            assert largest_difference(theirs, latents(host, ours)) <= CLOSE
        assert list(called) == [1] * (4 if negative else 2)
