"""The UNet of Stable Diffusion: the encoder, and the decoder that reads its skips."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..residuals import Residuals
from .attention import SpatialTransformer
from .base import Base
from .blocks import ResBlock, Stage, Upsample
from .encoder import Encoder
from .ops import TORCH_OPS, Ops


class UNet(Encoder):
    """Predict the noise (or v) in a latent, with what controls add to the skips and to the middle.

    `unet(x [B, 4, h, w], t [B], context [B, T, D], y=None, residuals=None) -> [B, 4, h, w]`; x has 9 channels for an
    inpaint base. Any side of the latent from 1 cell works: the decoder takes the sizes of the skips.

    Source: Rombach et al., arXiv 2112.10752, and the released openaimodel.py, whose parameter names it keeps. The
    weights of a new one are random throughout; the released code starts `out.2` and the ends of all branches at zero.
    """

    def __init__(
        self,
        base: Base,
        ops: Ops = TORCH_OPS,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__(base, ops, dtype=dtype, device=device)
        ops = ops.on(dtype, device)
        spec = base.spec
        skips = [connection.channels for connection in spec.connections[:-1]]
        depths = iter(spec.decoder_depths)
        channels = spec.connections[-1].channels
        self.output_blocks = nn.ModuleList()
        for level in reversed(range(len(spec.channel_mult))):
            width = spec.channel_mult[level] * spec.model_channels
            for place in range(spec.num_res_blocks[level] + 1):
                stage = Stage(ResBlock(channels + skips.pop(), width, spec.embedding_channels, spec.groups, ops))
                if depth := next(depths):
                    stage.append(SpatialTransformer(width, depth, spec, ops))
                if level and place == spec.num_res_blocks[level]:
                    stage.append(Upsample(width, ops))
                self.output_blocks.append(stage)
                channels = width
        self.out = nn.Sequential(
            ops.GroupNorm(spec.groups, channels, eps=1e-5),
            nn.SiLU(),
            ops.Conv2d(channels, spec.out_channels, 3, padding=1),
        )

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        context: Tensor,
        y: Tensor | None = None,
        residuals: Residuals | None = None,
    ) -> Tensor:
        """The prediction for x at t.

        Raises `ValueError` for shapes that do not belong together, residuals of another family included.
        """
        emb, maps = self.encode(x, t, context, y, residuals)
        return self.decode(emb, maps, context, residuals)

    def encode(
        self, x: Tensor, t: Tensor, context: Tensor, y: Tensor | None = None, residuals: Residuals | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """The first half of a call: the embedding [B, 4 * model_channels], and the maps of all blocks and the middle.

        Apart from `decode`, because training computes no gradient of it. It adds the inputs of the residuals, which
        only an adapter has; `decode` adds the others.
        """
        emb = self.embed(x, t, y)
        if residuals is None:
            return emb, list(self.maps(x, emb, context))
        _check_blocks(residuals, len(self.input_blocks))
        return emb, list(self.maps(x, emb, context, inputs=residuals.inputs))

    def decode(self, emb: Tensor, maps: list[Tensor], context: Tensor, residuals: Residuals | None = None) -> Tensor:
        """The second half of a call, from what `encode` returned; `maps` stays as it is.

        Raises `ValueError` for residuals of another family.
        """
        *skips, h = maps
        if residuals is not None:
            _check_fit(residuals, maps)
            if residuals.middle is not None:
                h = h + residuals.middle
            if residuals.skips:
                skips = [skip + residual for skip, residual in zip(skips, residuals.skips, strict=True)]
        for block in self.output_blocks:
            h = torch.cat((h, skips.pop()), dim=1)
            h = block(h, emb, context, size=skips[-1].shape[-2:] if skips else None)
        return self.out(h)


def _check_fit(residuals: Residuals, maps: list[Tensor]) -> None:
    """Refuse residuals that torch would broadcast, or that belong to another network."""
    if residuals.skips and len(residuals.skips) != len(maps) - 1:
        raise ValueError(
            f"the control fits a UNet with {len(residuals)} connections, this one has {len(maps)}; "
            "use a control that was trained for this family of models"
        )
    places: list[tuple[int, Tensor]] = list(enumerate(residuals.skips))
    if residuals.middle is not None:
        places.append((len(maps) - 1, residuals.middle))
    for place, residual in places:
        if residual.shape != maps[place].shape:
            raise ValueError(
                f"the residual at connection {place} has the shape {tuple(residual.shape)}, the UNet's map there has "
                f"{tuple(maps[place].shape)}; they must be the same: same family of models, same latent, same batch"
            )


def _check_blocks(residuals: Residuals, blocks: int) -> None:
    if (last := max(residuals.inputs, default=0)) >= blocks:
        raise ValueError(
            f"the control adds to block {last} of an encoder, this UNet's has {blocks}; use a control that was trained "
            "for this family of models"
        )
