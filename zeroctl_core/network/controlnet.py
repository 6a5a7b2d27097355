"""ControlNet: a trainable copy of the encoder and the middle, reached and left through zero convolutions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from ..files.on_meta import on_meta
from ..residuals import Residuals
from .base import Base
from .condition_encoder import ConditionEncoder
from .encoder import Encoder
from .ops import TORCH_OPS, Ops
from .provenance import CheckpointInfo
from .spec import LATENT_CHANNELS, condition_widths_of
from .unet import UNet
from .zero_convolution import zero_conv


class ControlNet(Encoder):
    """From a noisy latent and a condition to what is added to the UNet's skips and middle.

    `encode(image [B, 3, 8h, 8w] in 0..1) -> feature [B, model_channels, h, w]`, the same at every step; then
    `net(x [B, 4, h, w], t [B], context [B, T, D], feature=feature, y=None) -> Residuals`.

    Source: arXiv 2302.05543, 3.2, and the released cldm.py, whose parameter names it keeps.
    """

    kind = "ControlNet"
    reads_latent = True
    """Whether it looks at the latent, and so has to run at every step."""

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

        def connection_conv(channels: int) -> nn.Sequential:
            return nn.Sequential(zero_conv(channels, ops=ops))

        self.zero_convs = nn.ModuleList(connection_conv(c.channels) for c in spec.connections[:-1])
        self.middle_block_out = connection_conv(spec.connections[-1].channels)
        self.input_hint_block = ConditionEncoder(
            spec.condition_channels,
            spec.model_channels,
            spec.condition_form,
            spec.condition_widths,
            ops,
        )
        self.global_average_pooling = False
        """Whether every residual is averaged over space (the released SD 1.5 shuffle control)."""
        self.info: CheckpointInfo | None = None
        """The file that the network was loaded from; None for one that was built."""

    @classmethod
    def trainable_copy(
        cls,
        unet: UNet,
        *,
        ops: Ops | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        condition_channels: int = 3,
        condition_form: str = "released",
        condition_widths: tuple[int, ...] | None = None,
    ) -> ControlNet:
        """A ControlNet whose encoder equals the UNet's to the bit, in memory of its own, with all zero convolutions 0.

        The condition encoder has `condition_widths`, by default those of the UNet's base for its own form, and for
        another form the form's. Of an inpaint base (9 input channels) the first convolution keeps the 4 channels of
        the noisy latent. Layers, dtype and device are the UNet's unless given; `dtype=torch.float32` is usual for
        training.

        Raises `ValueError` for a condition encoder that does not exist.
        """
        if condition_widths is None:
            own = condition_form == unet.spec.condition_form
            condition_widths = unet.spec.condition_widths if own else condition_widths_of(condition_form)
        spec = replace(
            unet.spec,
            in_channels=LATENT_CHANNELS,
            out_channels=LATENT_CHANNELS,
            decoder_depth=None,  # a ControlNet has no decoder, and its file could not show one
            condition_channels=condition_channels,
            condition_form=condition_form,
            condition_widths=condition_widths,
        )
        first = next(unet.parameters())
        dtype, device = dtype or first.dtype, device or first.device
        with on_meta():
            net = cls(unet.base.with_spec(spec), ops or unet.ops, dtype=dtype, device="meta")
        source = dict(unet.named_parameters())
        copies: dict[str, Tensor] = {}
        for name, _ in net.named_parameters():
            if name not in source:
                continue
            weight = source[name].detach()
            if name == "input_blocks.0.0.weight":
                weight = weight[:, :LATENT_CHANNELS]
            copies[name] = weight.to(device, dtype, copy=True).contiguous()
        net.load_state_dict({**copies, **cls._start_values(net, dtype, device)}, assign=True)
        return net.requires_grad_(True)

    @staticmethod
    def _start_values(net: ControlNet, dtype: torch.dtype, device: torch.device | str) -> dict[str, Tensor]:
        """Of what a UNet does not have: the condition encoder, and zeros in the zero convolutions."""
        spec = net.spec
        condition = ConditionEncoder(
            spec.condition_channels, spec.model_channels, spec.condition_form, spec.condition_widths
        )
        values = {f"input_hint_block.{key}": value for key, value in condition.state_dict().items()}
        for name, parameter in net.named_parameters():
            if name.startswith(("zero_convs.", "middle_block_out.")):
                values[name] = torch.zeros(parameter.shape)
        return {key: value.to(device, dtype) for key, value in values.items()}

    def encode(self, image: Tensor) -> Tensor:
        """The condition's feature: image [B, 3, H, W] in 0..1 -> [B, model_channels, ceil(H/8), ceil(W/8)].

        Raises `ValueError` for another number of channels.
        """
        return self.input_hint_block(image)

    def encoding_numbers(self, height: int, width: int) -> int:
        """How many numbers are in memory at once, at most, while a condition is encoded for a latent of this size."""
        return 2 * self.spec.condition_widths[0] * 64 * height * width

    def forward(self, x: Tensor, t: Tensor, context: Tensor, *, feature: Tensor, y: Tensor | None = None) -> Residuals:
        """Residuals for x [B, 4, h, w] at t [B] with context [B, T, D]; the feature has one row, or one for each of x.

        Raises `ValueError` for shapes that do not belong together.
        """
        return self.residuals(x, self.embed(x, t, y), context, feature)

    def residuals(self, x: Tensor, emb: Tensor, context: Tensor, feature: Tensor) -> Residuals:
        """The same from the vector of timestep and y, emb [B, 4 * model_channels].

        Raises `ValueError` for shapes that do not belong together.
        """
        maps = self.maps(x, emb, context, feature)
        return Residuals.of([self._pooled(conv(h)) for conv, h in zip(self._connection_convs(), maps, strict=True)])

    def _connection_convs(self) -> Iterator[nn.Module]:
        yield from self.zero_convs
        yield self.middle_block_out

    def _pooled(self, residual: Tensor) -> Tensor:
        """The mean over space at every cell where this network pools; in memory of its own, as hosts scale in place."""
        if not self.global_average_pooling:
            return residual
        return residual.mean(dim=(2, 3), keepdim=True).repeat(1, 1, *residual.shape[-2:])
