"""SDXL: context of two text encoders (2048), y of pooled prompt and sizes (2816), three levels, heads of 64 channels.

The published mid and small ControlNets are the same family with fewer transformers; small has no attention to the
prompt at all, so the family is recognised by y alone.
"""

from __future__ import annotations

from dataclasses import replace

from ..network.base import Base, Shapes
from ..network.spec import EncoderSpec
from ..network.spec_of_file import context_width, has_linear_projections, label_width, read_encoder_spec
from . import BASES

CONTEXT_DIM = 2048
ADM_IN_CHANNELS = 2816
HEAD_CHANNELS = 64


def detect(shapes: Shapes) -> bool:
    return (
        label_width(shapes) == ADM_IN_CHANNELS
        and context_width(shapes) in (CONTEXT_DIM, None)
        and has_linear_projections(shapes) is not False
    )


def read_spec(shapes: Shapes) -> EncoderSpec:
    return read_encoder_spec(shapes, context_dim=CONTEXT_DIM, use_linear=True, head_channels=HEAD_CHANNELS)


FULL = EncoderSpec(
    model_channels=320,
    channel_mult=(1, 2, 4),
    num_res_blocks=(2, 2, 2),
    transformer_depth=(0, 0, 2, 2, 10, 10),
    middle_depth=10,
    context_dim=CONTEXT_DIM,
    head_channels=HEAD_CHANNELS,
    use_linear=True,
    adm_in_channels=ADM_IN_CHANNELS,
)
MID = replace(FULL, transformer_depth=(0, 0, 0, 0, 1, 1), middle_depth=1)
SMALL = replace(FULL, transformer_depth=(0, 0, 0, 0, 0, 0), middle_depth=0)

BASES.register("sdxl")(Base(name="sdxl", title="SDXL", spec=FULL, detect=detect, read_spec=read_spec))
