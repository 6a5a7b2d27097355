"""The networks equal diffusers' own on the same random weights, at every connection."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from diffusers_twins import controlnet_config, controlnet_twin, diffusers, unet_twin
from random_weights import UNetSpec, controlnet_shapes, random_controlnet, random_unet, save_controlnet_file, spec_of
from safetensors.torch import save_file
from torch import Tensor

from zeroctl_core import ControlNet, Residuals, UNet, load_controlnet, save_controlnet
from zeroctl_core.bases import recognise
from zeroctl_core.network.blocks import timestep_embedding

TOLERANCE = 1e-5  # relative L2 a residual in float32: another order of the same sums gives about 1e-6
SPREAD = 0.1  # of biases and norm weights, so that two that are mixed up do not go unnoticed


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Two rows with a timestep each, on a latent that is not square."""

    x: Tensor
    t: Tensor
    context: Tensor
    image: Tensor
    y: Tensor | None
    added: dict[str, Tensor] | None  # what diffusers makes y from

    @classmethod
    def draw(cls, spec: UNetSpec, h: int = 16, w: int = 24, rows: int = 2) -> Inputs:
        generator = torch.Generator().manual_seed(7)

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator)

        y = added = None
        if spec.adm_in_channels is not None:
            pooled = normal(rows, 1280)
            sizes = torch.tensor([[1024.0, 768.0, 0.0, 8.0, 1024.0, 768.0]]).repeat(rows, 1)
            y = torch.cat((pooled, timestep_embedding(sizes.flatten(), 256).reshape(rows, -1)), dim=1)
            added = {"text_embeds": pooled, "time_ids": sizes}
        return cls(
            x=normal(rows, spec.in_channels, h, w),
            t=torch.tensor([7.0, 981.0, 444.0][:rows]),
            context=normal(rows, 11, spec.context_dim),
            image=torch.rand((rows, 3, 8 * h, 8 * w), generator=generator),
            y=y,
            added=added,
        )


def _expected(net: torch.nn.Module, inputs: Inputs) -> Residuals:
    with torch.inference_mode():
        skips, middle = net(
            inputs.x,
            inputs.t,
            inputs.context,
            inputs.image,
            added_cond_kwargs=inputs.added,
            return_dict=False,
        )
    return Residuals(tuple(skips), middle)


def _residuals(net: ControlNet, inputs: Inputs, t: Tensor | None = None) -> Residuals:
    with torch.inference_mode():
        return net(
            inputs.x,
            inputs.t if t is None else t,
            inputs.context,
            feature=net.encode(inputs.image),
            y=inputs.y,
        )


def _assert_close(ours: Residuals, theirs: Residuals) -> None:
    assert [m.shape for m in ours] == [m.shape for m in theirs]
    for place, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        error = ((mine - other).norm() / other.norm()).item()
        assert other.norm() > 0, f"connection {place} is zero: nothing was compared"
        assert error <= TOLERANCE, f"connection {place} differs by {error:.1e}"


@pytest.fixture(params=["thin", "thin21", "thinxl"], scope="module")
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[UNetSpec, dict[str, Tensor], Residuals, Inputs]]:
    """A spec, weights for it, and what diffusers makes of them."""
    spec = spec_of(request.param)
    state = random_controlnet(spec, spread=SPREAD)
    inputs = Inputs.draw(spec)
    yield spec, state, _expected(controlnet_twin(spec, state), inputs), inputs


@pytest.mark.parametrize("layout", ["ldm", "ldm with prefix", "diffusers"])
def test_residuals_of_a_file_equal_those_of_diffusers(pair, layout, tmp_path):
    spec, state, expected, inputs = pair
    path = tmp_path / "control.safetensors"
    if layout == "diffusers":
        # written by diffusers itself: neither its keys nor its header come from us
        controlnet_twin(spec, state).save_pretrained(tmp_path)
        path = tmp_path / "diffusion_pytorch_model.safetensors"
    else:
        prefix = "control_model." if "prefix" in layout else ""
        save_file({prefix + key: value for key, value in state.items()}, path)
    _assert_close(_residuals(load_controlnet(path), inputs), expected)


def test_a_saved_diffusers_file_loads_in_diffusers(tmp_path):
    spec = spec_of("thin")
    net = load_controlnet(save_controlnet_file(tmp_path / "ldm.safetensors", spec, dtype=torch.float32))
    save_controlnet(net, tmp_path / "diffusion_pytorch_model.safetensors", layout="diffusers")
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "ControlNetModel", **controlnet_config(spec)}))
    theirs, report = diffusers().ControlNetModel.from_pretrained(  # type: ignore[attr-defined]
        tmp_path, output_loading_info=True, low_cpu_mem_usage=False
    )
    assert not report["missing_keys"] and not report["unexpected_keys"]
    inputs = Inputs.draw(spec)
    _assert_close(_residuals(net, inputs), _expected(theirs.eval(), inputs))


def test_residuals_depend_on_the_timestep():
    """Otherwise equality at one timestep would prove nothing about its embedding."""
    spec = spec_of("thin")
    net = _ours(spec, random_controlnet(spec))
    inputs = Inputs.draw(spec)
    first, second = _residuals(net, inputs), _residuals(net, inputs, inputs.t + 1)
    error = ((first.middle - second.middle).norm() / first.middle.norm()).item()
    assert error > 100 * TOLERANCE


def test_one_row_of_the_feature_serves_all_rows():
    spec = spec_of("thin")
    net = _ours(spec, random_controlnet(spec))
    inputs = Inputs.draw(spec)
    with torch.inference_mode():
        feature = net.encode(inputs.image[:1])
        one = net(inputs.x, inputs.t, inputs.context, feature=feature)
        all_rows = net(inputs.x, inputs.t, inputs.context, feature=feature.expand(2, -1, -1, -1))
    assert all(torch.equal(a, b) for a, b in zip(one, all_rows, strict=True))


def _ours(spec: UNetSpec, state: dict[str, Tensor]) -> ControlNet:
    base = recognise(controlnet_shapes(spec))
    assert base is not None
    net = ControlNet(base, device="meta").requires_grad_(False).eval()
    net.load_state_dict(state, assign=True)
    return net


def test_full_sd15_file_equals_diffusers(tmp_path):
    """From a file in fp16, both networks computing in float32."""
    spec = spec_of("sd15")
    path = tmp_path / "control.safetensors"
    save_file(random_controlnet(spec, spread=SPREAD, dtype=torch.float16), path)
    net = load_controlnet(path, check_finite=False, dtype=torch.float32)
    assert net.base.name == "sd15" and net.info is not None and net.info.dtype == torch.float16
    inputs = Inputs.draw(spec, h=8, w=16)
    _assert_close(_residuals(net, inputs), _expected(controlnet_twin(spec, net.state_dict()), inputs))
    path.unlink()


@pytest.mark.parametrize("preset", ["sd21", "sdxl_small"])
def test_other_full_networks_equal_diffusers(preset):
    spec = spec_of(preset)
    state = random_controlnet(spec, spread=SPREAD)
    inputs = Inputs.draw(spec, h=8, w=16)
    _assert_close(_residuals(_ours(spec, state), inputs), _expected(controlnet_twin(spec, state), inputs))


def test_full_sdxl_equalsdiffusers():
    """1.25 G parameters in float32 (5 GB), held once: both networks are assigned the same tensors."""
    spec = spec_of("sdxl")
    state = random_controlnet(spec, spread=SPREAD)
    inputs = Inputs.draw(spec, h=16, w=16, rows=1)
    ours = _residuals(_ours(spec, state), inputs)
    _assert_close(ours, _expected(controlnet_twin(spec, state), inputs))
    del state
    gc.collect()


# ---- the UNet


@pytest.mark.parametrize("preset", ["thin", "thin21"])
def test_unet_with_residuals_equals_diffusers(preset):
    spec = spec_of(preset)
    state = random_unet(spec, spread=SPREAD)
    base = recognise({key: tuple(value.shape) for key, value in state.items()})
    unet = UNet(base, device="meta").requires_grad_(False).eval()
    unet.load_state_dict(state, assign=True)
    theirs = unet_twin(spec, state)
    inputs = Inputs.draw(spec)
    control = _residuals(_ours(spec, random_controlnet(spec, seed=1)), inputs)
    with torch.inference_mode():
        for residuals in (None, control):
            mine = unet(inputs.x, inputs.t, inputs.context, residuals=residuals)
            added = (
                {}
                if residuals is None
                else {
                    "down_block_additional_residuals": residuals.skips,
                    "mid_block_additional_residual": residuals.middle,
                }
            )
            other = theirs(inputs.x, inputs.t, inputs.context, return_dict=False, **added)[0]
            assert ((mine - other).norm() / other.norm()).item() <= TOLERANCE
