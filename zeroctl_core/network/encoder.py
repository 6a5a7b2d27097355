"""The encoder and the middle of a Stable Diffusion UNet, written once for the UNet and for its ControlNets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from .attention import SpatialTransformer
from .base import Base
from .blocks import Downsample, ResBlock, Stage, timestep_embedding
from .ops import TORCH_OPS, Ops
from .spec import EncoderSpec


class Encoder(nn.Module):
    """12 blocks (9 on SDXL) and a middle, from a latent to the feature maps that a UNet passes on as its skips.

    Parameter names are those of the published LDM checkpoints, below `model.diffusion_model.` or `control_model.`.
    Source: Rombach et al., arXiv 2112.10752, and the released openaimodel.py. `device="meta"` builds without memory.
    """

    def __init__(
        self,
        base: Base,
        ops: Ops = TORCH_OPS,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.base = base
        self.ops = ops
        ops = ops.on(dtype, device)
        spec = base.spec
        time = spec.embedding_channels
        self.time_embed = nn.Sequential(
            ops.Linear(spec.model_channels, time),
            nn.SiLU(),
            ops.Linear(time, time),
        )
        if spec.adm_in_channels is not None:
            self.label_emb = nn.Sequential(
                nn.Sequential(
                    ops.Linear(spec.adm_in_channels, time),
                    nn.SiLU(),
                    ops.Linear(time, time),
                )
            )

        def res_block(in_channels: int, out_channels: int) -> ResBlock:
            return ResBlock(in_channels, out_channels, time, spec.groups, ops)

        def transformer(channels: int, depth: int) -> SpatialTransformer:
            return SpatialTransformer(channels, depth, spec, ops)

        self.input_blocks = nn.ModuleList([Stage(ops.Conv2d(spec.in_channels, spec.model_channels, 3, padding=1))])
        for block in spec.encoder_blocks():
            if block.depth is None:
                stage = Stage(Downsample(block.in_channels, ops))
            else:
                stage = Stage(res_block(block.in_channels, block.out_channels))
                if block.depth:
                    stage.append(transformer(block.out_channels, block.depth))
            self.input_blocks.append(stage)

        channels = spec.connections[-1].channels
        self.middle_block = Stage(res_block(channels, channels))
        if spec.middle_depth is not None:
            self.middle_block.append(transformer(channels, spec.middle_depth))
            self.middle_block.append(res_block(channels, channels))

    @property
    def spec(self) -> EncoderSpec:
        return self.base.spec

    def embed(self, x: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        """One vector a row from timestep and y: t [B], y [B, adm] -> [B, 4 * model_channels].

        The sinusoids are computed in float32 and cast to x's dtype. A base without a use
        for y ignores it, as the released code does: hosts pass it to every network.

        Raises `ValueError` for inputs whose rows or widths do not belong together.
        """
        spec = self.spec
        if x.ndim != 4 or x.shape[1] != spec.in_channels:
            raise ValueError(
                f"the latent has the shape {tuple(x.shape)}; this {self.base.name} network takes "
                f"[B, {spec.in_channels}, h, w]"
            )
        if t.shape != x.shape[:1]:
            raise ValueError(
                f"the timesteps have the shape {tuple(t.shape)} for {x.shape[0]} latents; give one for each, "
                f"[{x.shape[0]}]"
            )
        emb = self.time_embed(timestep_embedding(t, spec.model_channels).to(x.dtype))
        if spec.adm_in_channels is None:
            return emb
        if y is None or y.shape != (x.shape[0], spec.adm_in_channels):
            fault = "y is missing" if y is None else f"y has the shape {tuple(y.shape)}"
            raise ValueError(
                f"{fault}; this {self.base.name} network needs y (pooled prompt and sizes) as "
                f"[{x.shape[0]}, {spec.adm_in_channels}]"
            )
        return emb + self.label_emb(y.to(x.dtype))

    def maps(
        self,
        x: Tensor,
        emb: Tensor,
        context: Tensor,
        feature: Tensor | None = None,
        inputs: Mapping[int, Tensor] = MappingProxyType({}),
    ) -> Iterator[Tensor]:
        """The feature map after every block, shallow to deep, then after the middle; [B, C_i, h_i, w_i] each.

        inputs: what an adapter adds to the map of a block, by the block's number. A generator, so that a caller who
        needs each map once does not hold all of them.

        Raises `ValueError` for a context of another width, and for a feature or an input of another shape.
        """
        if context.ndim != 3 or context.shape[-1] != self.spec.context_dim or context.shape[0] != x.shape[0]:
            raise ValueError(
                f"the context has the shape {tuple(context.shape)}; this {self.base.name} network takes "
                f"[{x.shape[0]}, T, {self.spec.context_dim}]. A context of another width belongs to another family "
                "of models"
            )
        h = self.input_blocks[0](x, emb, context)
        if feature is not None:
            if feature.shape[1:] != h.shape[1:] or feature.shape[0] not in (1, h.shape[0]):
                raise ValueError(
                    f"the condition's feature has the shape {tuple(feature.shape)}; expected {tuple(h.shape)}, or one "
                    "row of it for all: encode a condition image of 8 times the latent's size"
                )
            h = h + feature  # before the first zero convolution, so that it too sees the condition
        for number, block in enumerate(self.input_blocks):
            if number:
                h = block(h, emb, context)
            if number in inputs:
                h = _added(h, inputs[number], number)
            yield h
        yield self.middle_block(h, emb, context)


def _added(h: Tensor, values: Tensor, block: int) -> Tensor:
    """Refuses what torch would broadcast, and what belongs to another network."""
    if values.shape != h.shape:
        raise ValueError(
            f"what is added to block {block} of the encoder has the shape {tuple(values.shape)}, its map has "
            f"{tuple(h.shape)}; they must be the same: same family of models, same latent, same batch"
        )
    return h + values
