"""Every registered base: builds on meta, predicts its connections, is recognised alone, and round-trips strictly."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from random_weights import SPECS, controlnet_shapes, unet_shapes

from zeroctl_core import BASES, ControlNet, UNet, load_controlnet, save_controlnet
from zeroctl_core.bases import Base, recognise
from zeroctl_core.bases.sdxl import MID, SMALL
from zeroctl_core.network.spec import EncoderSpec


def _shapes(net: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in net.state_dict().items()}


def _cut(base: Base) -> Base:
    """A member of the family small enough to hold: the narrowest width that its heads and groups allow, one block."""
    spec = base.spec
    levels = 2
    return base.with_spec(
        replace(
            spec,
            model_channels=max(spec.groups, 2 * (spec.num_heads or spec.head_channels or 1)),
            channel_mult=spec.channel_mult[:levels],
            num_res_blocks=(1,) * levels,
            transformer_depth=(0, 1),
            middle_depth=1,
        )
    )


@pytest.fixture(params=BASES, scope="module")
def base(request: pytest.FixtureRequest) -> Base:
    return BASES[request.param]


@pytest.mark.parametrize("network", [ControlNet, UNet])
def test_builds_on_meta_and_is_recognised_with_its_own_spec(base, network):
    net = network(base, device="meta")
    assert all(parameter.is_meta for parameter in net.parameters())
    result = recognise(_shapes(net))
    assert result is not None and result.name == base.name and result.spec == base.spec


@pytest.mark.parametrize("network", [ControlNet, UNet])
def test_exactly_one_base_claims_its_keys(base, network):
    shapes = _shapes(network(base, device="meta"))
    assert [other.name for other in BASES.values() if other.detect(shapes)] == [base.name]


@pytest.mark.parametrize("size", [(16, 16), (24, 8), (13, 9)])
def test_predicted_connections_equal_the_shapes_of_real_residuals(base, size):
    h, w = size
    spec = base.spec
    net = ControlNet(base, device="meta")
    y = None if spec.adm_in_channels is None else torch.empty(2, spec.adm_in_channels, device="meta")
    residuals = net(
        torch.empty(2, 4, h, w, device="meta"),
        torch.empty(2, device="meta"),
        torch.empty(2, 77, spec.context_dim, device="meta"),
        feature=net.encode(torch.empty(1, 3, 8 * h, 8 * w, device="meta")),
        y=y,
    )
    expected = [(2, c.channels, -(-h // c.downsample), -(-w // c.downsample)) for c in base.connections]
    assert [tuple(m.shape) for m in residuals] == expected
    assert [c.stage for c in base.connections] == ["skip"] * len(net.zero_convs) + ["middle"]


@pytest.mark.parametrize("layout", ["ldm", "diffusers"])
def test_a_cut_down_net_round_trips_strictly(base, layout, tmp_path):
    cut = _cut(base)
    torch.manual_seed(0)
    net = ControlNet(cut, dtype=torch.float16)
    loaded = load_controlnet(save_controlnet(net, tmp_path / "cut.safetensors", layout=layout))
    assert loaded.base.name == base.name and loaded.spec == cut.spec and loaded.base.connections == cut.connections
    before, after = net.state_dict(), loaded.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) and after[key].dtype == torch.float16 for key in before)


@pytest.mark.parametrize("preset", SPECS)
def test_keys_and_shapes_of_published_networks(preset):
    """Against tables that were written without these networks."""
    for network, shapes in ((ControlNet, controlnet_shapes(preset)), (UNet, unet_shapes(preset))):
        family = recognise(shapes)
        assert family is not None
        assert _shapes(network(family, device="meta")) == shapes


@pytest.mark.parametrize(
    ("spec", "keys", "millions"),
    [
        (BASES["sd15"].spec, 340, 361.3),
        (BASES["sd21"].spec, 340, 364.2),
        (BASES["sdxl"].spec, 844, 1251.0),
        (MID, 212, 270.9),
        (SMALL, 140, 160.1),
    ],
)
def test_sizes_of_the_published_controls(spec: EncoderSpec, keys, millions):
    base = next(base for base in BASES.values() if base.spec.context_dim == spec.context_dim)
    net = ControlNet(base.with_spec(spec), device="meta")
    assert len(net.state_dict()) == keys
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)


@pytest.mark.parametrize(
    "change",
    [
        {"in_channels": 9},
        {"decoder_depth": (0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0)},
        {"middle_depth": None},
        {"middle_depth": 0},
        {"condition_channels": 4},
        {"condition_form": "paper", "condition_widths": (16, 32, 64, 128)},
        {"transformer_depth": (0, 0, 2, 1, 0, 1, 0, 0)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_spec_is_read_back_from_the_shapes(change):
    tiny = BASES["tiny"]
    changed = tiny.with_spec(replace(tiny.spec, **change))
    network = UNet if "in_channels" in change or "decoder_depth" in change else ControlNet
    result = recognise(_shapes(network(changed, device="meta")))
    assert result is not None
    unread = {"decoder_depth": changed.spec.decoder_depth} if network is ControlNet else {}
    assert replace(result.spec, **unread) == changed.spec


def test_keys_of_no_family_are_claimed_by_none():
    assert recognise({"lora_unet_down.weight": (4, 4)}) is None
    refiner = _shapes(ControlNet(BASES["sdxl"].with_spec(replace(BASES["sdxl"].spec, context_dim=1280)), device="meta"))
    assert recognise(refiner) is None
