"""The table between the LDM and the diffusers layout, in both directions."""

from __future__ import annotations

import time

import pytest
from random_weights import SPECS, controlnet_shapes

from zeroctl_core.checkpoint.layouts import from_diffusers, is_diffusers, module_table, to_diffusers


@pytest.mark.parametrize("preset", SPECS)
def test_there_and_back(preset):
    spec, shapes = SPECS[preset], controlnet_shapes(preset)
    there = to_diffusers(shapes, spec.num_res_blocks)
    assert len(there) == len(shapes) and not set(there) & set(shapes)
    assert from_diffusers(there) == shapes
    assert is_diffusers(there) and not is_diffusers(shapes)


@pytest.mark.parametrize(
    ("ldm", "diffusers"),
    [
        ("time_embed.2.weight", "time_embedding.linear_2.weight"),
        ("label_emb.0.0.bias", "add_embedding.linear_1.bias"),
        ("input_blocks.0.0.weight", "conv_in.weight"),
        ("input_blocks.1.0.in_layers.0.weight", "down_blocks.0.resnets.0.norm1.weight"),
        ("input_blocks.3.0.op.weight", "down_blocks.0.downsamplers.0.conv.weight"),
        ("input_blocks.4.0.skip_connection.weight", "down_blocks.1.resnets.0.conv_shortcut.weight"),
        (
            "input_blocks.8.1.transformer_blocks.0.attn2.to_k.weight",
            "down_blocks.2.attentions.1.transformer_blocks.0.attn2.to_k.weight",
        ),
        ("input_blocks.11.0.emb_layers.1.bias", "down_blocks.3.resnets.1.time_emb_proj.bias"),
        ("middle_block.0.out_layers.3.weight", "mid_block.resnets.0.conv2.weight"),
        ("middle_block.1.proj_in.weight", "mid_block.attentions.0.proj_in.weight"),
        ("middle_block.2.out_layers.0.bias", "mid_block.resnets.1.norm2.bias"),
        ("zero_convs.11.0.weight", "controlnet_down_blocks.11.weight"),
        ("middle_block_out.0.bias", "controlnet_mid_block.bias"),
        ("input_hint_block.0.weight", "controlnet_cond_embedding.conv_in.weight"),
        ("input_hint_block.12.weight", "controlnet_cond_embedding.blocks.5.weight"),
        ("input_hint_block.14.bias", "controlnet_cond_embedding.conv_out.bias"),
    ],
)
def test_published_names(ldm, diffusers):
    assert list(to_diffusers({ldm: 0}, (2, 2, 2, 2))) == [diffusers]


def test_a_table_names_nothing_twice():
    table = module_table((2, 2, 2, 2))
    assert len(set(table.values())) == len(table)


def test_what_no_control_has_keeps_its_name():
    keys = {"controlnet_cond_embedding.conv_in.weight": 0, "task_embedding": 1, "up_blocks.0.resnets.0.norm1.weight": 2}
    assert set(from_diffusers(keys)) >= {"task_embedding", "up_blocks.0.resnets.0.norm1.weight"}


def test_two_layouts_in_one_file_are_refused():
    keys = {"conv_in.weight": 0, "input_blocks.0.0.weight": 1}
    with pytest.raises(ValueError, match="both become input_blocks.0.0.weight; the file mixes two layouts"):
        from_diffusers(keys)


@pytest.mark.parametrize("number", ["9" * 8, "9" * 5000])
def test_levels_and_blocks_that_are_only_numbered_cost_nothing(number):
    keys = {
        f"down_blocks.{number}.resnets.0.norm1.weight": 0,
        f"down_blocks.0.resnets.{number}.norm1.weight": 1,
        f"controlnet_cond_embedding.blocks.{number}.weight": 2,
    }
    start = time.perf_counter()
    assert from_diffusers(keys) == keys
    assert time.perf_counter() - start < 2
