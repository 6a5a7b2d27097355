"""A T2I-Adapter equals diffusers' on the same weights to the bit, alone and in the UNet, and is computed once a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers_twins import diffusers, unet_twin
from random_weights import NARROW, SPECS, UNetSpec, adapter_shapes, random_state_dict, random_unet
from safetensors.torch import load_file, save_file
from torch import Tensor

from zeroctl_core import (
    CheckpointError,
    ControlNet,
    ControlStack,
    ControlUnit,
    Residuals,
    UNet,
    load_controlnet,
    save_controlnet,
)
from zeroctl_core.bases import recognise
from zeroctl_core.checkpoint.control import load_control
from zeroctl_core.connections import Connection
from zeroctl_core.control.rows import Crop, Rows
from zeroctl_core.control.run import Run
from zeroctl_core.network.t2i_adapter import T2IAdapter
from zeroctl_core.weighting import RULES

SD = replace(SPECS["narrow"], channel_mult=(1, 2, 4, 4), num_res_blocks=(2, 2, 2, 2), transformer_depth=(1, 1, 1, 0))
SDXL = replace(SPECS["narrowxl"], channel_mult=(1, 2, 4), num_res_blocks=(2, 2, 2), transformer_depth=(0, 1, 1))
KINDS: dict[str, dict[str, bool]] = {
    "full": {},
    "grey": {"grey": True},
    "light": {"light": True},
    "light grey": {"light": True, "grey": True},
    "sdxl": {"xl": True},
}
TOLERANCE = 2e-5  # relative L2 of a UNet's prediction in float32


def weights_of(kind: str, layout: str) -> dict[str, Tensor]:
    """Both layouts have the same tensors, in the same order."""
    original = random_state_dict(adapter_shapes(NARROW, **KINDS[kind]), seed=3, spread=0.1)
    if layout == "original":
        return original
    shapes = adapter_shapes(NARROW, diffusers=True, **KINDS[kind])
    return dict(zip(shapes, original.values(), strict=True))


def adapter(folder: Path, kind: str, layout: str = "original") -> T2IAdapter:
    path = folder / f"{kind}-{layout}.safetensors"
    save_file(weights_of(kind, layout), path)
    net = load_control(path)
    assert isinstance(net, T2IAdapter) and net.info is not None and net.info.layout == layout
    return net


def twin(kind: str) -> Any:
    """The adapter of diffusers with these weights."""
    options = KINDS[kind]
    widths = [mult * NARROW for mult in (1, 2, 4, 4)]
    light, xl = options.get("light"), options.get("xl")
    net = diffusers().T2IAdapter(  # type: ignore[attr-defined]
        in_channels=1 if options.get("grey") else 3,
        channels=widths[:3] if light else widths,
        num_res_blocks=4 if light else 2,
        downscale_factor=16 if xl else 8,
        adapter_type="light_adapter" if light else "full_adapter_xl" if xl else "full_adapter",
    )
    net.load_state_dict(weights_of(kind, "diffusers"))
    return net.eval()


def pictures(rows: int, height: int, width: int, channels: int = 3) -> Tensor:
    return torch.rand(rows, channels, height, width, generator=torch.Generator().manual_seed(8))


@pytest.mark.parametrize("layout", ["original", "diffusers"])
@pytest.mark.parametrize("kind", KINDS)
def test_its_maps_are_those_of_diffusers_to_the_bit(tmp_path, kind, layout) -> None:
    net, other = adapter(tmp_path, kind, layout), twin(kind)
    image = pictures(2, 128, 192, net.spec.image_channels)
    with torch.inference_mode():
        mine, theirs = net.encode(image), other(image)
    assert len(mine) == len(theirs) == 4
    assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


def test_a_grey_adapter_reads_the_mean_of_the_channels(tmp_path) -> None:
    net, image = adapter(tmp_path, "grey"), pictures(1, 64, 64)
    with torch.inference_mode():
        for mine, other in zip(net.encode(image), net.encode(image.mean(1, keepdim=True)), strict=True):
            assert torch.equal(mine, other)


def test_maps_of_an_odd_size_are_halved_as_in_the_original_and_not_as_in_diffusers(tmp_path) -> None:
    """The original's average begins with a cell of zeros: all cells of the second map are others than in diffusers."""
    net, other, image = adapter(tmp_path, "light"), twin("light"), pictures(1, 72, 72)
    with torch.inference_mode():
        mine, theirs = net.encode(image), other(image)
    assert torch.equal(mine[0], theirs[0])
    assert mine[1].shape == theirs[1].shape == (1, 2 * NARROW, 5, 5)
    assert not torch.isclose(mine[1], theirs[1]).all(dim=1).any()


def test_a_picture_of_an_odd_number_of_cells_keeps_every_cell_in_its_place(tmp_path) -> None:
    net, image = adapter(tmp_path, "sdxl"), pictures(1, 64, 72)
    wider = torch.cat([image, image[..., -1:].expand(-1, -1, -1, 8)], dim=-1)
    with torch.inference_mode():
        for mine, other in zip(net.encode(image), net.encode(wider), strict=True):
            assert torch.equal(mine, other)


def unet_of(spec: UNetSpec) -> tuple[UNet, dict[str, Tensor]]:
    """With random weights; a spec of SDXL may go without y, which is what its family is known by."""
    state = random_unet(spec, spread=0.1)
    whole = random_unet(SDXL if spec.use_linear else SD)
    base = recognise({key: tuple(value.shape) for key, value in whole.items()})
    assert base is not None
    base = base.with_spec(replace(base.spec, adm_in_channels=spec.adm_in_channels))
    unet = UNet(base, device="meta").requires_grad_(False).eval()
    unet.load_state_dict(state, assign=True)
    return unet, state


def inputs_of(spec: UNetSpec, rows: int = 2) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor | None]:
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(rows, 4, 16, 24, generator=generator)
    context = torch.randn(rows, 7, spec.context_dim, generator=generator)
    y = None if spec.adm_in_channels is None else torch.randn(rows, spec.adm_in_channels, generator=generator)
    return (x, torch.tensor([981.0, 7.0][:rows]), context), y


@pytest.mark.parametrize("kind", ["full", "sdxl"])
def test_a_unet_with_an_adapter_equals_diffusers(tmp_path, kind) -> None:
    spec = replace(SDXL, adm_in_channels=None) if kind == "sdxl" else SD
    net, image = adapter(tmp_path, kind), pictures(2, 128, 192)
    unet, state = unet_of(spec)
    (x, t, context), _ = inputs_of(spec)
    theirs = unet_twin(spec, state)
    with torch.inference_mode():
        mine = unet(x, t, context, residuals=net(x, t, context, feature=net.encode(image)))
        added = {"down_intrablock_additional_residuals": list(twin(kind)(image))}
        other = theirs(x, t, context, return_dict=False, **added)[0]
        assert ((mine - other).norm() / other.norm()).item() <= TOLERANCE
        plain = unet(x, t, context)
    assert ((mine - plain).norm() / plain.norm()).item() > 1e-2


class Counting:
    """An adapter as a stack calls it, with a count of its encodings."""

    def __init__(self, net: T2IAdapter) -> None:
        self.net, self.base, self.encoded = net, net.base, 0

    def encode(self, image: Tensor) -> tuple[Tensor, ...]:
        self.encoded += 1
        return self.net.encode(image)

    def __call__(self, *args: Any, **call: Any) -> Residuals:
        residuals: Residuals = self.net(*args, **call)
        return residuals


def test_its_features_are_computed_once_for_each_image_of_a_run(tmp_path) -> None:
    net = Counting(adapter(tmp_path, "full"))
    stack = ControlStack((ControlUnit(net, pictures(2, 128, 192), branches="cond", strength=0.5),))
    (x, t, context), _ = inputs_of(SD)
    x, t, context = (torch.cat([value, value]) for value in (x, t, context))
    rows = Rows(("uncond", "uncond", "cond", "cond"), (0, 1, 0, 1), (None,) * 4)
    run = Run(lambda percent: 1.0 - percent, [1.0, 0.0])
    with torch.inference_mode():
        for _ in range(3):
            added = stack(x, t, context, run=run, rows=rows)
        assert net.encoded == 2 and added is not None
        alone = [net.encode(image[None]) for image in pictures(2, 128, 192)]
    for values, one, two in zip(added, *alone, strict=True):
        assert not values[:2].any()
        assert torch.equal(values[2:], 0.5 * torch.cat([one, two]))


def test_a_crop_of_the_canvas_is_encoded_by_itself(tmp_path) -> None:
    net, image = adapter(tmp_path, "full"), pictures(1, 256, 256)
    (x, t, context), _ = inputs_of(SD, rows=1)
    rows = Rows(("cond",), (0,), (Crop(4, 8, 16, 24),))
    with torch.inference_mode():
        added = ControlStack((ControlUnit(net, image),))(x, t, context, rows=rows)
        alone = net.encode(image[..., 32:160, 64:256])
    assert added is not None
    assert all(torch.equal(a, b) for a, b in zip(added, alone, strict=True))


def test_its_maps_stay_as_they_are_whatever_is_done_with_the_residuals(tmp_path) -> None:
    net = adapter(tmp_path, "full")
    (x, t, context), _ = inputs_of(SD)
    with torch.inference_mode():
        maps = net.encode(pictures(1, 128, 192))
        before = [values.clone() for values in maps]
        for values in net(x, t, context, feature=maps):
            values.mul_(3.0)
    assert all(torch.equal(a, b) for a, b in zip(maps, before, strict=True))


def test_a_mask_and_weights_act_on_every_place(tmp_path) -> None:
    net, image = adapter(tmp_path, "sdxl"), pictures(1, 128, 192)
    mask = torch.zeros(1, 1, 128, 192)
    mask[..., :96] = 1.0
    (x, t, context), _ = inputs_of(SDXL)
    with torch.inference_mode():
        whole = ControlStack((ControlUnit(net, image),))(x, t, context)
        half = ControlStack((ControlUnit(net, image, mask=mask),))(x, t, context)
    assert whole is not None and half is not None and half.middle is not None
    for one, other in zip(whole, half, strict=True):
        middle = one.shape[-1] // 2
        assert torch.equal(one[..., :middle], other[..., :middle]) and not other[..., middle:].any()


@pytest.mark.parametrize(
    ("rule", "of_sd", "of_sdxl"),
    [
        ("uniform", [1, 1, 1, 1], [1, 1, 1, 1]),
        ("resolution", [1, 2, 4, 8], [2, 2, 4, 4]),
        ("resolution_normalised", [0.125, 0.25, 0.5, 1], [0.5, 0.5, 1, 1]),
        ("only_middle", [0, 0, 0, 0], [0, 0, 0, 1]),
        ("a1111_prompt", [0.25, 0.62, 0.825, 1], [0.25, 0.62, 0.825, 1]),  # scripts/hook.py
        ("soft", [0.2601, 0.6806, 0.825, 1], [0.2601, 0.6806, 0.825, 1]),  # Advanced-ControlNet, run
        ("diffusers_guess", [0.1, 0.2154, 0.4642, 1], [0.1, 0.2154, 0.4642, 1]),  # logspace(-1, 0, 4)
    ],
)
def test_the_rules_weigh_its_four_maps(tmp_path, rule, of_sd, of_sdxl) -> None:
    for kind, expected in (("full", of_sd), ("sdxl", of_sdxl)):
        assert RULES[rule](adapter(tmp_path, kind).base.connections) == pytest.approx(expected, abs=5e-5)


def controlnet_of(spec: UNetSpec) -> ControlNet:
    unet, _ = unet_of(spec)
    net = ControlNet.trainable_copy(unet).requires_grad_(False).eval()
    with torch.no_grad():
        for conv in [*net.zero_convs, net.middle_block_out]:
            conv[0].weight.fill_(0.01)
    return net


def test_an_adapter_and_a_controlnet_add(tmp_path) -> None:
    net, control = adapter(tmp_path, "sdxl"), controlnet_of(SDXL)
    image = pictures(1, 128, 192)
    units = [ControlUnit(net, image, strength=0.5), ControlUnit(control, image)]
    (x, t, context), y = inputs_of(SDXL)
    with torch.inference_mode():
        both = ControlStack(units)(x, t, context, y)
        other = ControlStack(units[::-1])(x, t, context, y)
        alone = [ControlStack([unit])(x, t, context, y) for unit in units]
    assert both is not None and other is not None and all(alone)
    assert len(both) == 3 + 9 + 1
    for result in (both, other):
        assert torch.allclose(result.middle, alone[0].middle + alone[1].middle, atol=1e-6)
        assert all(torch.equal(result.inputs[block], alone[0].inputs[block]) for block in (3, 5, 8))
        assert all(torch.equal(a, b) for a, b in zip(result.skips, alone[1].skips, strict=True))


def test_an_adapter_of_another_family_does_not_go_into_a_stack(tmp_path) -> None:
    units = [ControlUnit(adapter(tmp_path, "full"), pictures(1, 64, 64))]
    units.append(ControlUnit(controlnet_of(SDXL), pictures(1, 64, 64)))
    for order in (units, units[::-1]):
        with pytest.raises(ValueError, match="do not fit the same model; stack controls of one family"):
            ControlStack(order)


def test_a_unet_refuses_what_belongs_to_another(tmp_path) -> None:
    unet, _ = unet_of(SDXL)
    (x, t, context), y = inputs_of(SDXL)
    maps = adapter(tmp_path, "full").encode(pictures(1, 128, 192))
    wrong = Residuals((), None, {11: maps[3].expand(2, -1, -1, -1)})
    with pytest.raises(ValueError, match="adds to block 11 of an encoder, this UNet's has 9"):
        unet(x, t, context, y, residuals=wrong)
    with pytest.raises(ValueError, match="what is added to block 2 of the encoder has the shape"):
        unet(x, t, context, y, residuals=Residuals((), None, {2: maps[1].expand(2, -1, -1, -1)}))


def test_a_picture_of_another_size_than_the_latent_is_refused(tmp_path) -> None:
    net = adapter(tmp_path, "full")
    (x, t, context), _ = inputs_of(SD)
    with pytest.raises(ValueError, match="encode a condition image of 8 times the latent's size"):
        net(x, t, context, feature=net.encode(pictures(1, 64, 64)))
    with pytest.raises(ValueError, match=r"expected \[B, 3, H, W\] in 0..1"):
        net.encode(pictures(1, 64, 64, channels=4))


# ---- files


def test_the_places_are_those_of_the_release(tmp_path) -> None:
    assert adapter(tmp_path, "light").base.connections == (
        Connection("input", NARROW, 1, 2),
        Connection("input", 2 * NARROW, 2, 5),
        Connection("input", 4 * NARROW, 4, 8),
        Connection("input", 4 * NARROW, 8, 11),
    )
    assert adapter(tmp_path, "sdxl").base.connections == (
        Connection("input", NARROW, 2, 3),
        Connection("input", 2 * NARROW, 2, 5),
        Connection("input", 4 * NARROW, 4, 8),
        Connection("middle", 4 * NARROW, 4),
    )


def test_a_file_with_everything_in_a_dict_of_its_own_loads(tmp_path) -> None:
    torch.save({"adapter": weights_of("light", "original")}, tmp_path / "t2i.pth")
    net = load_control(tmp_path / "t2i.pth")
    own = net.state_dict()
    assert all(torch.equal(own[key], value) for key, value in weights_of("light", "original").items())


def test_convolutions_in_the_place_of_averages_and_wide_kernels_load(tmp_path) -> None:
    """Which the original's class has as options."""
    state = weights_of("full", "original")
    for block in (2, 4, 6):
        width = NARROW * {2: 1, 4: 2, 6: 4}[block]
        state[f"body.{block}.down_opt.op.weight"] = torch.randn(width, width, 3, 3) / width
        state[f"body.{block}.down_opt.op.bias"] = torch.zeros(width)
    for key, value in state.items():
        if ("block2" in key or "in_conv" in key) and value.ndim == 4:
            state[key] = value.expand(-1, -1, 3, 3).contiguous() / 9
    save_file(state, tmp_path / "convolving.safetensors")
    net = load_control(tmp_path / "convolving.safetensors")
    assert isinstance(net, T2IAdapter) and net.spec.convolves_down and net.spec.kernel == 3
    with torch.inference_mode():
        assert [values.shape[-1] for values in net.encode(pictures(1, 64, 64))] == [8, 4, 2, 1]


@pytest.mark.parametrize(
    ("kind", "lost", "message"),
    [
        ("light", "body.3.", "it lacks level 4. Download it again"),
        ("light", "body.0.in_conv.weight", "it lacks body.0.in_conv.weight"),
        ("full", "body.6.", "4 keys missing"),
        ("full", "conv_in.", "it lacks conv_in.weight"),
        ("sdxl", "body.7.block2.bias", r"as a T2I-Adapter for SDXL: 1 key missing \(body.7.block2.bias\)"),
        ("light", "body.2.out_conv.weight", r"light T2I-Adapter for SD 1.5: 1 key missing \(body.2.out_conv.weight\)"),
    ],
)
@pytest.mark.parametrize("layout", ["original", "diffusers"])
def test_a_file_that_is_cut_off_is_refused(tmp_path, kind, lost, layout, message) -> None:
    keys = zip(weights_of(kind, "original"), weights_of(kind, layout).items(), strict=True)
    save_file({key: value for name, (key, value) in keys if not name.startswith(lost)}, tmp_path / "cut.safetensors")
    with pytest.raises(CheckpointError, match=message):
        load_control(tmp_path / "cut.safetensors")


def test_integers_and_numbers_that_are_not_finite_are_refused(tmp_path) -> None:
    state = weights_of("light", "original")
    bad = {**state, "body.1.out_conv.weight": state["body.1.out_conv.weight"] * torch.nan}
    save_file(bad, tmp_path / "nan.safetensors")
    with pytest.raises(CheckpointError, match=r"NaN or infinite numbers in 1 of .*\(body.1.out_conv.weight\)"):
        load_control(tmp_path / "nan.safetensors")
    assert load_control(tmp_path / "nan.safetensors", check_finite=False).base.name == "sd15"
    save_file({key: value.to(torch.int8) for key, value in state.items()}, tmp_path / "int.safetensors")
    with pytest.raises(CheckpointError, match="weights of another type than floating point"):
        load_control(tmp_path / "int.safetensors")


def test_load_controlnet_names_who_reads_it(tmp_path) -> None:
    save_file(weights_of("full", "diffusers"), tmp_path / "t2i.safetensors")
    with pytest.raises(CheckpointError, match="seems to be a T2I-Adapter: .*Read it with load_control"):
        load_controlnet(tmp_path / "t2i.safetensors")


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_adapter_holds_every_bit_in_both_layouts(tmp_path, kind) -> None:
    for before in ("original", "diffusers"):
        net = adapter(tmp_path, kind, before)
        for layout, keys in (("ldm", "original"), ("diffusers", "diffusers")):
            path = save_controlnet(net, tmp_path / f"{layout}.safetensors", layout)
            in_file, expected = load_file(path), weights_of(kind, keys)
            assert in_file.keys() == expected.keys()
            assert all(torch.equal(in_file[key], value) for key, value in expected.items())
            again = load_control(path)
            assert isinstance(again, T2IAdapter) and again.spec == net.spec and again.info is not None
            assert again.info.metadata["zeroctl.base"] == net.base.name


def test_what_diffusers_has_no_place_for_is_not_saved_there(tmp_path) -> None:
    spec = replace(adapter(tmp_path, "full").spec, kernel=3)
    net = T2IAdapter(spec)
    save_controlnet(net, tmp_path / "wide.safetensors")
    assert load_control(tmp_path / "wide.safetensors").spec == spec
    with pytest.raises(
        ValueError, match="the diffusers layout has no place for an adapter that halves by convolutions"
    ):
        save_controlnet(net, tmp_path / "wide-diffusers.safetensors", "diffusers")
