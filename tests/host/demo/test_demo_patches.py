"""What changes a MODEL acts on the embedded one as on Stable Diffusion's, and the same with a control on top."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from control_graphs import CLOSE, counted, largest_difference, latents
from demo_graphs import controlled, demo_graph
from host_graphs import Graph, node
from host_process import Host
from safetensors.torch import load_file, save_file

from zeroctl_core.demo.model import MODEL, UNET_PREFIX

FELT = 1e-3
LORA = "demo.safetensors"
PATCHES: dict[str, tuple[str, dict[str, Any]]] = {
    "lora": ("LoraLoaderModelOnly", {"lora_name": LORA, "strength_model": 0.8}),
    "freeu": ("FreeU", {"b1": 1.1, "b2": 1.2, "s1": 0.9, "s2": 0.2}),
    "freeu v2": ("FreeU_V2", {"b1": 1.3, "b2": 1.4, "s1": 0.9, "s2": 0.2}),
    "pag": ("PerturbedAttentionGuidance", {"scale": 30.0}),  # its block has 4 tokens here, which do little
    "hypertile": ("HyperTile", {"tile_size": 32, "swap_size": 1, "max_depth": 0, "scale_depth": False}),
    "self attention": ("UNetSelfAttentionMultiply", {"q": 1.2, "k": 0.9, "v": 1.1, "out": 1.0}),
    "rescale": ("RescaleCFG", {"multiplier": 0.7}),
}
EASY_CACHE = {"reuse_threshold": 3.0, "start_percent": 0.15, "end_percent": 0.95, "verbose": False}


@pytest.fixture(scope="module", autouse=True)
def lora(host: Host, demo_weights: Path) -> Path:
    """A random LoRA of every attention query of the embedded UNet, where the host lists it."""
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for key, weight in load_file(demo_weights / MODEL).items():
        if key.startswith(UNET_PREFIX) and key.endswith("to_q.weight"):
            name = "lora_unet_" + key.removeprefix(UNET_PREFIX).removesuffix(".weight").replace(".", "_")
            weights[f"{name}.lora_up.weight"] = torch.randn(weight.shape[0], 4, generator=generator)
            weights[f"{name}.lora_down.weight"] = torch.randn(4, weight.shape[1], generator=generator)
            weights[f"{name}.alpha"] = torch.tensor(4.0)
    assert len(weights) == 3 * 2 * 16  # 16 transformers of self and cross attention
    path = host.base / "models" / "loras" / LORA
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, path)
    return path


def with_patch(graph: Graph, class_type: str, **inputs: Any) -> Graph:
    """The graph with one more node behind the demo model."""
    for name, entry in graph.items():
        if entry["inputs"].get("model") == ["demo", 0]:
            return {
                **graph,
                "patch": node(class_type, model=["demo", 0], **inputs),
                name: {**entry, "inputs": {**entry["inputs"], "model": ["patch", 0]}},
            }
    raise AssertionError("no node takes the MODEL")


def seeded(host: Host, graph: Graph) -> torch.Tensor:
    """Run the graph from one state of the generator that HyperTile draws from."""
    torch.manual_seed(0)
    return latents(host, graph)


@pytest.mark.parametrize("name", PATCHES)
def test_a_patch_acts_and_our_apply_equals_the_hosts_on_it(
    host: Host, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    class_type, inputs = PATCHES[name]
    graph = demo_graph()
    plain = seeded(host, graph)
    patched = with_patch(graph, class_type, **inputs)
    result = seeded(host, patched)
    assert torch.isfinite(result).all() and largest_difference(result, plain) > FELT
    assert "NOT LOADED" not in caplog.text
    ours, theirs = (seeded(host, controlled(host, patched, by)) for by in ("ours", "host"))
    assert largest_difference(ours, theirs) <= CLOSE
    assert largest_difference(ours, result) > FELT


@pytest.mark.parametrize("by", ["nobody", "ours", "host"])
def test_easy_cache_skips_steps(host: Host, by: str) -> None:
    graph = controlled(host, with_patch(demo_graph(steps=10), "EasyCache", **EASY_CACHE), by)
    model = host.run({"demo": graph["demo"]}, keep={"model": ["demo", 0]})["model"]
    graph["demo"] = host.give(model)
    for entry in graph.values():
        for name, link in entry["inputs"].items():
            if isinstance(link, list) and link[0] == "demo" and link[1] > 0:
                entry["inputs"][name] = ["parts", link[1]]
    graph["parts"] = node("ZeroctlDemoModel")
    with counted(model.model.diffusion_model.out) as calls:
        result = latents(host, graph)
    assert torch.isfinite(result).all() and 1 < len(calls) < 10


def test_the_lora_loader_of_both_loads_it_too(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    graph = demo_graph()
    graph["lora"] = node(
        "LoraLoader", model=["demo", 0], clip=["demo", 1], lora_name=LORA, strength_model=0.8, strength_clip=1.0
    )
    graph["sampler"]["inputs"]["model"] = ["lora", 0]
    graph["positive"]["inputs"]["clip"] = ["lora", 1]
    both = latents(host, graph)
    assert "NOT LOADED" not in caplog.text
    class_type, inputs = PATCHES["lora"]
    assert largest_difference(both, latents(host, with_patch(demo_graph(), class_type, **inputs))) <= CLOSE


def test_a_copy_of_it_is_an_untrained_control(host: Host) -> None:
    graph = demo_graph()
    plain = latents(host, graph)
    copy = controlled(host, graph, "ours")
    copy["ours net"] = node("ZeroctlCopyFromModel", model=["demo", 0])
    assert torch.equal(latents(host, copy), plain)
