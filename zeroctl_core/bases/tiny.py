"""A small net of the SD topology (12 encoder blocks and a middle): for tests, demos and training on a CPU.

Its context width of 64 is its own, which no published family has.
"""

from __future__ import annotations

from dataclasses import replace

from ..network.base import Base, Shapes
from ..network.spec import EncoderSpec
from ..network.spec_of_file import context_width, label_width, read_encoder_spec
from . import BASES

CONTEXT_DIM = 64
HEAD_CHANNELS = 16
GROUPS = 8  # 32 groups on 32 channels would normalise every channel alone and lose its mean
CONDITION_WIDTHS = (16, 32, 48, 64)  # the released widths would cost twice what the whole UNet costs


def detect(shapes: Shapes) -> bool:
    return label_width(shapes) is None and context_width(shapes) == CONTEXT_DIM


def read_spec(shapes: Shapes) -> EncoderSpec:
    spec = read_encoder_spec(
        shapes, context_dim=CONTEXT_DIM, use_linear=True, head_channels=HEAD_CHANNELS, groups=GROUPS
    )
    if not any(key.startswith("input_hint_block.") for key in shapes):  # a UNet's file does not show its controls
        return replace(spec, condition_widths=CONDITION_WIDTHS)
    return spec


BASES.register("tiny")(
    Base(
        name="tiny",
        title="zeroctl tiny",
        spec=EncoderSpec(
            model_channels=32,
            channel_mult=(1, 2, 2, 2),
            num_res_blocks=(2, 2, 2, 2),
            transformer_depth=(0, 0, 1, 1, 1, 1, 0, 0),  # none at the full size, as SDXL: there it costs the most
            middle_depth=1,
            context_dim=CONTEXT_DIM,
            head_channels=HEAD_CHANNELS,
            use_linear=True,
            condition_widths=CONDITION_WIDTHS,
            groups=GROUPS,
        ),
        detect=detect,
        read_spec=read_spec,
    )
)
