"""Networks of their released size, and files that the host itself reads at full size only."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from control_graphs import CLOSE, largest_difference, latents, picture, with_host_control, with_our_control
from host_graphs import node, sample
from host_models import FAMILIES, random_conditioning
from host_process import BenchGive, Host
from random_weights import SPECS, random_controlnet, random_unet
from safetensors.torch import save_file
from torch import Tensor, nn

from zeroctl_core import BASES, ControlNet
from zeroctl_core.checkpoint.layouts import to_diffusers

pytestmark = pytest.mark.full
ROOT = Path(__file__).resolve().parents[2]
SAME = 1e-5  # relative L2 over the residuals, in float32
LAYOUTS = ("ldm", "diffusers")


@pytest.fixture(autouse=True)
def _room(host: Host) -> Iterator[None]:
    """Nothing of an earlier test stays in memory, and nothing of this one."""
    import comfy.model_management

    count = len(BenchGive.values)
    gc.collect()
    yield
    BenchGive.values[count:] = [None] * (len(BenchGive.values) - count)
    comfy.model_management.unload_all_models()
    comfy.model_management.current_loaded_models.clear()
    gc.collect()


def call_of(preset: str, size: int = 16) -> dict[str, Tensor]:
    """Arguments of a control in the host's convention: two rows at different timesteps, no square."""
    spec, generator = SPECS[preset], torch.Generator().manual_seed(0)
    call = {
        "x": torch.randn(2, 4, size, size + 8, generator=generator),
        "hint": torch.rand(2, 3, 8 * size, 8 * size + 64, generator=generator),
        "timesteps": torch.tensor([11.0, 640.0]),
        "context": torch.randn(2, 77, spec.context_dim, generator=generator),
    }
    return (
        call
        if spec.adm_in_channels is None
        else {**call, "y": torch.randn(2, spec.adm_in_channels, generator=generator)}
    )


def assert_same(theirs: dict[str, list[Tensor]], ours: dict[str, list[Tensor]], connections: int) -> None:
    one, other = ([*out["output"], *out["middle"]] for out in (theirs, ours))
    assert len(one) == len(other) == connections
    for place, (a, b) in enumerate(zip(one, other, strict=True)):
        assert a.shape == b.shape
        assert float((a - b).norm() / a.norm()) <= SAME, f"connection {place}"
        assert float(a.norm()) > 0.0


def network_of_the_host(state: dict[str, Tensor]) -> nn.Module:
    """The host's ControlNet on these very tensors."""
    import comfy.cldm.cldm
    import comfy.model_detection

    config = comfy.model_detection.model_config_from_unet(state, "", True).unet_config
    config.pop("out_channels")
    network = comfy.cldm.cldm.ControlNet(**config, hint_channels=3, dtype=torch.float32, device="meta")
    network.load_state_dict(state, assign=True)
    return network


@pytest.mark.parametrize(("preset", "connections"), [("sd21", 13), ("sdxl", 10)])
def test_residuals_equal_the_hosts_own_network(host, preset, connections) -> None:
    """Both on the same 1.5 and 5 GB of weights."""
    loading = sys.modules[f"{host.pack_module(ROOT).__name__}.nodes.host.control_net"]
    state, call = random_controlnet(preset, spread=0.1), call_of(preset)
    theirs = network_of_the_host(state)(**call)
    net = ControlNet(BASES[preset], loading.host_ops(torch.float32, None, preset), device="meta").requires_grad_(False)
    net.load_state_dict(state, assign=True)
    assert_same(theirs, loading.control_net_from(net, None, lambda: None).control_model(**call), connections)


@pytest.fixture(scope="module")
def sd15_files(host: Host) -> Iterator[dict[str, str]]:
    """Layout -> name of a full SD 1.5 control in float32."""
    folder = host.base / "models" / "controlnet"
    state = random_controlnet("sd15", spread=0.1)
    paths = {layout: folder / f"full-{layout}.safetensors" for layout in LAYOUTS}
    save_file(state, paths["ldm"])
    save_file(to_diffusers(state, SPECS["sd15"].num_res_blocks), paths["diffusers"])
    del state
    yield {layout: path.name for layout, path in paths.items()}
    for path in paths.values():
        path.unlink()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_residuals_of_a_file_equal_the_hosts(host, sd15_files, layout) -> None:
    def loaded(loader: str) -> Any:
        return host.run({"net": node(loader, control_net_name=sd15_files[layout])}, keep={"net": ["net", 0]})["net"]

    call = call_of("sd15")
    theirs = loaded("ControlNetLoader").control_model(**call)
    ours = loaded("ZeroctlLoadControlNet").control_model
    assert_same(theirs, ours(**call), 13)
    assert ours.net.info.layout == layout


def full_sd15() -> Any:
    """A MODEL with a full random UNet, on the random tensors themselves."""
    import comfy.model_detection
    import comfy.model_management
    import comfy.supported_models
    from comfy.model_patcher import ModelPatcher

    weights = random_unet("sd15")
    family = getattr(comfy.supported_models, FAMILIES[SPECS["sd15"].context_dim])
    config = family(comfy.model_detection.detect_unet_config(weights, ""))
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model(weights, "", device="meta")
    model.diffusion_model.load_state_dict(weights, assign=True)
    return ModelPatcher(model, comfy.model_management.get_torch_device(), comfy.model_management.unet_offload_device())


def test_a_step_of_full_sd15_equals_the_hosts_apply(host, sd15_files) -> None:
    """A 32x32 latent; 3.4 GB for the UNet, 1.4 GB for the host's net; ours stays in the mapped file."""
    graph = sample(
        host.give(full_sd15()),
        host.give(random_conditioning("sd15", 1)),
        host.give(random_conditioning("sd15", 2)),
        size=256,
        steps=1,
    )
    image, name = host.give(picture(256, 256)), sd15_files["ldm"]
    theirs = latents(host, with_host_control(graph, node("ControlNetLoader", control_net_name=name), image))
    graph = with_our_control(graph, node("ZeroctlLoadControlNet", control_net_name=name), image)
    ours = host.run(graph, keep={"latent": ["sampler", 0], "report": ["ours", 1]})
    assert largest_difference(theirs, ours["latent"]["samples"]) <= CLOSE
    plain = latents(
        host,
        {**graph, "sampler": {**graph["sampler"], "inputs": {**graph["sampler"]["inputs"], "model": ["model", 0]}}},
    )
    assert largest_difference(theirs, plain) > 1e-2
    report = ours["report"]
    assert "MODEL: SD15 (13 connections, context 768, no y)" in report
    assert "control 1: full-ldm.safetensors" in report and "family SD 1.5, 13 connections" in report
    # 141.6 G without the 7.4 G of the condition encoder, which runs once, over 401.6 G (one row at 512x512)
    assert "cost: 33.4 % of the UNet's work in an active step with CFG, counted at a 64x64 latent" in report
