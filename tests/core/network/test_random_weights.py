"""The key tables have the counts of the published files, and the values are deterministic and tame."""

from __future__ import annotations

import math

import pytest
import torch
from random_weights import (
    SPECS,
    UNetSpec,
    clip_l_shapes,
    controlnet_shapes,
    random_state_dict,
    spec_of,
    unet_shapes,
    vae_shapes,
)


def params(shapes: dict[str, tuple[int, ...]]) -> int:
    return sum(math.prod(shape) for shape in shapes.values())


@pytest.mark.parametrize(
    ("preset", "keys", "count"),
    [
        ("sd15", 340, 361_279_120),
        ("thin", 126, 18_697_040),
    ],
)
def test_controlnet_counts_are_exact(preset: str, keys: int, count: int) -> None:
    shapes = controlnet_shapes(preset)
    assert (len(shapes), params(shapes)) == (keys, count)


@pytest.mark.parametrize(
    ("preset", "keys", "millions"),
    [("sd21", 340, 364.2), ("sdxl", 844, 1251.0), ("sdxl_mid", 212, 270.9), ("sdxl_small", 140, 160.1)],
)
def test_controlnet_counts_match_the_published_files(preset: str, keys: int, millions: float) -> None:
    shapes = controlnet_shapes(preset)
    assert len(shapes) == keys
    assert round(params(shapes) / 1e6, 1) == millions


@pytest.mark.parametrize(
    ("preset", "keys", "count"),
    [
        ("sd15", 686, 859_520_964),
        ("sd21", 686, 865_910_724),
        ("sdxl", 1680, 2_567_463_684),
        ("thin", 206, 36_653_124),
    ],
)
def test_unet_counts_are_exact(preset: str, keys: int, count: int) -> None:
    shapes = unet_shapes(preset)
    assert (len(shapes), params(shapes)) == (keys, count)


def test_text_encoder_and_autoencoder_counts_are_exact() -> None:
    assert (len(clip_l_shapes()), params(clip_l_shapes())) == (196, 123_060_480)
    assert (len(vae_shapes()), params(vae_shapes())) == (248, 83_653_863)


@pytest.mark.parametrize("preset", SPECS)
def test_a_unet_contains_its_controls_encoder(preset: str) -> None:
    own = ("input_hint_block.", "zero_convs.", "middle_block_out.")
    unet = unet_shapes(preset)
    for key, shape in controlnet_shapes(preset).items():
        if not key.startswith(own):
            assert unet[key] == shape


def test_values_depend_on_key_and_seed_alone() -> None:
    shapes = controlnet_shapes("thin")
    some = {key: shapes[key] for key in list(shapes)[:10]}
    whole, again = random_state_dict(shapes, seed=1), random_state_dict(some, seed=1)
    other = random_state_dict(some, seed=2)
    weights = [key for key in some if len(some[key]) > 1]
    assert all(torch.equal(whole[key], again[key]) for key in some)
    assert not any(torch.equal(again[key], other[key]) for key in weights)


def test_norms_are_one_and_biases_zero_unless_spread() -> None:
    shapes = {"a.norm.weight": (640,), "a.norm.bias": (640,)}
    plain, spread = random_state_dict(shapes), random_state_dict(shapes, spread=0.1)
    assert torch.equal(plain["a.norm.weight"], torch.ones(640))
    assert torch.equal(plain["a.norm.bias"], torch.zeros(640))
    assert abs(spread["a.norm.weight"].mean() - 1) < 0.02
    assert 0.08 < spread["a.norm.bias"].std() < 0.12


def test_weights_keep_the_scale_of_their_input() -> None:
    shapes = {f"input_blocks.1.0.{layer}.weight": (320, 320, 3, 3) for layer in ("in_layers.2", "out_layers.3")}
    weights = random_state_dict(shapes)
    unit = 1 / math.sqrt(320 * 9)
    assert weights["input_blocks.1.0.in_layers.2.weight"].std().item() == pytest.approx(unit, rel=0.01)
    assert weights["input_blocks.1.0.out_layers.3.weight"].std().item() == pytest.approx(0.3 * unit, rel=0.01)


def test_tensors_larger_than_the_pool_are_filled() -> None:
    weight = random_state_dict({"a.weight": (2100, 2000)})["a.weight"]
    assert torch.isfinite(weight).all()
    assert weight[-1].std().item() == pytest.approx(1 / math.sqrt(2000), rel=0.1)


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(KeyError, match="sd15"):
        spec_of("sd3")


def test_levels_of_a_spec_must_agree() -> None:
    with pytest.raises(ValueError, match="one number a level"):
        UNetSpec(channel_mult=(1, 2))
