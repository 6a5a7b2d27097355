"""Stable Diffusion 1.x: context of CLIP ViT-L (768), 1x1 convolutions as projections, 8 heads at any width."""

from __future__ import annotations

from ..network.base import Base, Shapes
from ..network.spec import EncoderSpec
from ..network.spec_of_file import context_width, has_linear_projections, label_width, read_encoder_spec
from . import BASES

CONTEXT_DIM = 768
NUM_HEADS = 8


def detect(shapes: Shapes) -> bool:
    return (
        label_width(shapes) is None and context_width(shapes) == CONTEXT_DIM and has_linear_projections(shapes) is False
    )


def read_spec(shapes: Shapes) -> EncoderSpec:
    return read_encoder_spec(shapes, context_dim=CONTEXT_DIM, use_linear=False, num_heads=NUM_HEADS)


BASES.register("sd15")(
    Base(
        name="sd15",
        title="SD 1.5",
        spec=EncoderSpec(
            model_channels=320,
            channel_mult=(1, 2, 4, 4),
            num_res_blocks=(2, 2, 2, 2),
            transformer_depth=(1, 1, 1, 1, 1, 1, 0, 0),
            middle_depth=1,
            context_dim=CONTEXT_DIM,
            num_heads=NUM_HEADS,
        ),
        detect=detect,
        read_spec=read_spec,
    )
)
