"""Stable Diffusion 2.x: context of OpenCLIP ViT-H (1024), linear projections, heads of 64 channels."""

from __future__ import annotations

from ..network.base import Base, Shapes
from ..network.spec import EncoderSpec
from ..network.spec_of_file import context_width, has_linear_projections, label_width, read_encoder_spec
from . import BASES

CONTEXT_DIM = 1024
HEAD_CHANNELS = 64


def detect(shapes: Shapes) -> bool:
    return (
        label_width(shapes) is None and context_width(shapes) == CONTEXT_DIM and has_linear_projections(shapes) is True
    )


def read_spec(shapes: Shapes) -> EncoderSpec:
    return read_encoder_spec(shapes, context_dim=CONTEXT_DIM, use_linear=True, head_channels=HEAD_CHANNELS)


BASES.register("sd21")(
    Base(
        name="sd21",
        title="SD 2.1",
        spec=EncoderSpec(
            model_channels=320,
            channel_mult=(1, 2, 4, 4),
            num_res_blocks=(2, 2, 2, 2),
            transformer_depth=(1, 1, 1, 1, 1, 1, 0, 0),
            middle_depth=1,
            context_dim=CONTEXT_DIM,
            head_channels=HEAD_CHANNELS,
            use_linear=True,
        ),
        detect=detect,
        read_spec=read_spec,
    )
)
