"""T2I-Adapter: maps of a condition alone, added to what blocks of the UNet's encoder give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..connections import Connection
from ..residuals import Residuals
from .ops import TORCH_OPS, Ops
from .provenance import CheckpointInfo

LEVELS = 4
"""Of every released adapter: as many maps, each added in one place."""
SD_PLACES = (2, 5, 8, 11)
SDXL_PLACES = (3, 5, 8, None)
"""Blocks of the encoder by number; None: the middle."""


@dataclass(frozen=True, kw_only=True)
class AdapterSpec:
    """What fixes every key and shape of an adapter.

    widths: of its maps. image_channels: 3, or 1 for those that read grey. blocks: residual blocks a level. kernel: side
    of a full adapter's convolutions beside the 3x3 ones. convolves_down: halves by convolutions and not by averages.
    """

    widths: tuple[int, ...]
    image_channels: int = 3
    xl: bool = False
    light: bool = False
    blocks: int = 2
    kernel: int = 1
    convolves_down: bool = False

    context_dim = None
    """It reads no prompt."""
    adm_in_channels = None
    condition_channels = 3
    """An adapter for grey images takes the mean of the channels."""

    @property
    def unshuffle(self) -> int:
        """Pixels a side that become channels of one cell."""
        return 16 if self.xl else 8

    def halves(self, level: int) -> bool:
        """Whether a level begins with halving the map."""
        return level == 2 if self.xl else level > 0

    @cached_property
    def connections(self) -> tuple[Connection, ...]:
        """The places where its maps are added, shallow to deep."""
        downsample, result = self.unshuffle // 8, []
        for level, (width, block) in enumerate(zip(self.widths, SDXL_PLACES if self.xl else SD_PLACES, strict=True)):
            downsample *= 2 if self.halves(level) else 1
            result.append(Connection("middle" if block is None else "input", width, downsample, block))
        return tuple(result)


@dataclass(frozen=True)
class AdapterBase:
    """What an adapter is made for, as `Base` says it of a ControlNet; no shape tells SD 1.x from 2.x."""

    spec: AdapterSpec

    @property
    def name(self) -> str:
        return "sdxl" if self.spec.xl else "sd15"

    @property
    def title(self) -> str:
        return "SDXL" if self.spec.xl else "SD 1.5"

    @property
    def connections(self) -> tuple[Connection, ...]:
        return self.spec.connections

    @property
    def condition_channels(self) -> int:
        return self.spec.condition_channels


class T2IAdapter(nn.Module):
    """From a condition to four maps, whatever the latent, the timestep and the prompt: computed once a run.

    `encode(image [B, 3, 8h, 8w] in 0..1) -> maps`, one a connection, [B, C_i, h_i, w_i] each; then
    `adapter(x [B, 4, h, w], t, context, feature=maps) -> Residuals`, which looks at x for its number of rows alone.

    Source: Mou et al., arXiv 2302.08453, and TencentARC/T2I-Adapter, whose parameter names it keeps. On maps of an odd
    size that repository's average begins with a cell of zeros, and that of diffusers ends with half a window.
    """

    kind = "T2I-Adapter"
    reads_latent = False
    global_average_pooling = False

    def __init__(
        self,
        spec: AdapterSpec,
        ops: Ops = TORCH_OPS,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.base = AdapterBase(spec)
        ops = ops.on(dtype, device)
        channels = spec.image_channels * spec.unshuffle**2
        if not spec.light:
            self.conv_in = ops.Conv2d(channels, spec.widths[0], 3, padding=1)
            channels = spec.widths[0]
        self.body = nn.ModuleList()
        for level, width in enumerate(spec.widths):
            halves = spec.halves(level)
            if spec.light:
                self.body.append(_LightLevel(channels, width, halves, spec.blocks, ops))
            else:
                for block in range(spec.blocks):
                    self.body.append(_Block(channels, width, halves and block == 0, spec, ops))
                    channels = width
            channels = width
        self.info: CheckpointInfo | None = None
        """The file that it was loaded from; None for one that was built."""

    @property
    def spec(self) -> AdapterSpec:
        return self.base.spec

    def encoding_numbers(self, height: int, width: int) -> int:
        """How many numbers are in memory at once, at most, while a condition is encoded for a latent of this size."""
        return 2 * (self.spec.image_channels * 64 + max(self.spec.widths)) * height * width

    def encode(self, image: Tensor) -> tuple[Tensor, ...]:
        """The maps of a condition, shallow to deep.

        Where what the adapter unshuffles does not divide a side, the last row or column of pixels is repeated: every
        cell stays where it is in the picture.

        Raises `ValueError` for another number of channels.
        """
        channels, side = self.spec.image_channels, self.spec.unshuffle
        if image.ndim != 4 or image.shape[1] not in (channels, self.spec.condition_channels):
            raise ValueError(
                f"the condition image has the shape {tuple(image.shape)}; expected [B, "
                f"{self.spec.condition_channels}, H, W] in 0..1"
            )
        if image.shape[1] != channels:
            image = image.mean(1, keepdim=True)
        height, width = image.shape[-2:]
        if height % side or width % side:
            image = F.pad(image, (0, -width % side, 0, -height % side), mode="replicate")
        return tuple(self._maps(F.pixel_unshuffle(image, side)))

    def _maps(self, x: Tensor) -> Iterator[Tensor]:
        if not self.spec.light:
            x = self.conv_in(x)
        a_level = len(self.body) // len(self.spec.widths)
        for number, block in enumerate(self.body, 1):
            x = block(x)
            if number % a_level == 0:
                yield x

    def forward(
        self, x: Tensor, t: Tensor, context: Tensor, *, feature: tuple[Tensor, ...], y: Tensor | None = None
    ) -> Residuals:
        """The maps as residuals of the rows of x, in memory of their own; the feature has one row, or one for each.

        Raises `ValueError` for maps of another latent.
        """
        inputs: dict[int, Tensor] = {}
        middle: Tensor | None = None
        for connection, values in zip(self.base.connections, feature, strict=True):
            size = tuple(-(-side // connection.downsample) for side in x.shape[-2:])
            if values.shape[-2:] != size or values.shape[0] not in (1, x.shape[0]):
                raise ValueError(
                    f"a map of the condition has the shape {tuple(values.shape)}; for latents of {tuple(x.shape)} it "
                    f"is [1 or {x.shape[0]}, {connection.channels}, {size[0]}, {size[1]}]: encode a condition image of "
                    "8 times the latent's size"
                )
            values = values.repeat(x.shape[0] // values.shape[0], 1, 1, 1)
            if connection.block is None:
                middle = values
            else:
                inputs[connection.block] = values
        return Residuals((), middle, inputs)


class _Block(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, halves: bool, spec: AdapterSpec, ops: Ops) -> None:
        super().__init__()
        kernel, padding = spec.kernel, spec.kernel // 2
        self.down_opt = _Down(in_channels, spec.convolves_down, ops) if halves else None
        widens = in_channels != out_channels
        self.in_conv = ops.Conv2d(in_channels, out_channels, kernel, padding=padding) if widens else None
        self.block1 = ops.Conv2d(out_channels, out_channels, 3, padding=1)
        self.block2 = ops.Conv2d(out_channels, out_channels, kernel, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        if self.down_opt is not None:
            x = self.down_opt(x)
        if self.in_conv is not None:
            x = self.in_conv(x)
        return self.block2(F.relu(self.block1(x))) + x


class _Down(nn.Module):
    def __init__(self, channels: int, convolves: bool, ops: Ops) -> None:
        super().__init__()
        self.op = ops.Conv2d(channels, channels, 3, stride=2, padding=1) if convolves else None

    def forward(self, x: Tensor) -> Tensor:
        return _halved(x) if self.op is None else self.op(x)


def _halved(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 2, padding=(x.shape[-2] % 2, x.shape[-1] % 2))


class _LightLevel(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, halves: bool, blocks: int, ops: Ops) -> None:
        super().__init__()
        self.halves = halves
        inside = out_channels // 4
        self.in_conv = ops.Conv2d(in_channels, inside, 1)
        self.body = nn.Sequential(*(_LightBlock(inside, ops) for _ in range(blocks)))
        self.out_conv = ops.Conv2d(inside, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        if self.halves:
            x = _halved(x)
        return self.out_conv(self.body(self.in_conv(x)))


class _LightBlock(nn.Module):
    def __init__(self, channels: int, ops: Ops) -> None:
        super().__init__()
        self.block1 = ops.Conv2d(channels, channels, 3, padding=1)
        self.block2 = ops.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.block2(F.relu(self.block1(x))) + x
