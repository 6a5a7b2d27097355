"""The two published layouts of a ControlNet's keys, LDM and diffusers, and the table between them.

Modules are renamed, tensors are not touched: both layouts hold the same arrays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

LAYOUTS = ("ldm", "diffusers")
LDM_PREFIX = "control_model."
DIFFUSERS_MARKER = "controlnet_cond_embedding."

T = TypeVar("T")

# LDM module -> diffusers module. {block}: place in input_blocks; {level}, {res}: level and residual block in it;
# {connection}: number of a zero convolution; {hint}: place of a convolution in input_hint_block; {between}: its number.
ONCE = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "middle_block.1": "mid_block.attentions.0",
    "middle_block_out.0": "controlnet_mid_block",
}
RES_BLOCK = {
    "{ldm}.in_layers.0": "{diffusers}.norm1",
    "{ldm}.in_layers.2": "{diffusers}.conv1",
    "{ldm}.emb_layers.1": "{diffusers}.time_emb_proj",
    "{ldm}.out_layers.0": "{diffusers}.norm2",
    "{ldm}.out_layers.3": "{diffusers}.conv2",
    "{ldm}.skip_connection": "{diffusers}.conv_shortcut",
}
RES_BLOCKS_OF_THE_MIDDLE = {
    "middle_block.0": "mid_block.resnets.0",
    "middle_block.2": "mid_block.resnets.1",
}
RES_BLOCK_PLACE = ("input_blocks.{block}.0", "down_blocks.{level}.resnets.{res}")
TRANSFORMER = ("input_blocks.{block}.1", "down_blocks.{level}.attentions.{res}")
DOWNSAMPLE = ("input_blocks.{block}.0.op", "down_blocks.{level}.downsamplers.0.conv")
ZERO_CONV = ("zero_convs.{connection}.0", "controlnet_down_blocks.{connection}")
HINT_FIRST = ("input_hint_block.0", "controlnet_cond_embedding.conv_in")
HINT_BETWEEN = ("input_hint_block.{hint}", "controlnet_cond_embedding.blocks.{between}")
HINT_LAST = ("input_hint_block.{hint}", "controlnet_cond_embedding.conv_out")


def module_table(num_res_blocks: Sequence[int], hint_convs: int = 8) -> dict[str, str]:
    """LDM module -> diffusers module for a net with so many residual blocks a level.

    `hint_convs` is the number of convolutions in the released form of the condition encoder. Everything below a listed
    module keeps its name (the inside of a transformer is called the same in both).
    """
    table = dict(ONCE)

    def add(pair: tuple[str, str], **places: int) -> None:
        table[pair[0].format(**places)] = pair[1].format(**places)

    def add_res_block(ldm: str, diffusers: str) -> None:
        for left, right in RES_BLOCK.items():
            table[left.format(ldm=ldm)] = right.format(diffusers=diffusers)

    for ldm, diffusers in RES_BLOCKS_OF_THE_MIDDLE.items():
        add_res_block(ldm, diffusers)
    block = 1
    for level, count in enumerate(num_res_blocks):
        for res in range(count):
            places = {"block": block, "level": level, "res": res}
            add_res_block(RES_BLOCK_PLACE[0].format(**places), RES_BLOCK_PLACE[1].format(**places))
            add(TRANSFORMER, **places)
            block += 1
        if level + 1 < len(num_res_blocks):
            add(DOWNSAMPLE, block=block, level=level)
            block += 1
    for connection in range(block):
        add(ZERO_CONV, connection=connection)
    add(HINT_FIRST)
    for between in range(hint_convs - 2):
        add(HINT_BETWEEN, hint=2 * (between + 1), between=between)
    add(HINT_LAST, hint=2 * (hint_convs - 1))
    return table


def _rename(values: Mapping[str, T], table: Mapping[str, str]) -> dict[str, T]:
    """Rename by the longest module that the table lists; a key of no listed module keeps its name.

    Raises `ValueError` when two keys get one name.
    """

    def new_name(key: str) -> str:
        end = len(key)
        while (end := key.rfind(".", 0, end)) > 0:
            if (module := table.get(key[:end])) is not None:
                return module + key[end:]
        return key

    result: dict[str, T] = {}
    for key, value in values.items():
        if (name := new_name(key)) in result:
            raise ValueError(f"{key} and another key both become {name}; the file mixes two layouts")
        result[name] = value
    return result


def is_diffusers(keys: Iterable[str]) -> bool:
    """Whether these are the keys of a ControlNet in the diffusers layout."""
    return any(key.startswith(DIFFUSERS_MARKER) for key in keys)


def from_diffusers(values: Mapping[str, T]) -> dict[str, T]:
    """LDM key -> value; the levels are read from the keys. What no ControlNet has keeps its name."""
    res_block = re.compile(r"down_blocks\.(\d{1,3})\.resnets\.(\d{1,3})\.")
    levels: dict[int, set[int]] = {}
    for key in values:
        if match := res_block.match(key):
            levels.setdefault(int(match[1]), set()).add(int(match[2]))
    between = re.compile(r"controlnet_cond_embedding\.blocks\.(\d{1,3})\.")
    hint_convs = 2 + len({match[1] for key in values if (match := between.match(key))})
    count = max(levels, default=-1) + 1
    table = module_table([len(levels.get(level, ())) for level in range(count)], hint_convs)
    return _rename(values, {diffusers: ldm for ldm, diffusers in table.items()})


def to_diffusers(values: Mapping[str, T], num_res_blocks: Sequence[int], hint_convs: int = 8) -> dict[str, T]:
    """Diffusers key -> value, of a ControlNet in the LDM layout without prefix."""
    return _rename(values, module_table(num_res_blocks, hint_convs))
