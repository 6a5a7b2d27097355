"""The numbers that fix a network: every key and every shape follows from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..connections import Connection

LATENT_CHANNELS = 4
"""Channels of the noisy latent: an inpaint base appends mask and masked latent behind them."""

CONDITION_FORMS = {"released": (16, 32, 96, 256), "paper": (16, 32, 64, 128)}
"""Form of the condition encoder -> its widths, one for each resolution from the pixels down to the latent."""


def condition_widths_of(form: str, widths: tuple[int, ...] | None = None) -> tuple[int, ...]:
    """The widths of a condition encoder: those that are given, else the form's own.

    Raises `ValueError` for a form that is not known, and for another number of widths than there are resolutions,
    or one below 1.
    """
    if form not in CONDITION_FORMS:
        raise ValueError(f"the condition form {form!r} is not known; use one of {', '.join(CONDITION_FORMS)}")
    own = CONDITION_FORMS[form]
    if widths is not None and (len(widths) != len(own) or min(widths) < 1):
        raise ValueError(
            f"condition_widths is {widths}; expected {len(own)} numbers above 0, one for each resolution from the "
            f"pixels to the latent, such as {own}"
        )
    return own if widths is None else widths


def encoder_connections(
    model_channels: int, channel_mult: Sequence[int], num_res_blocks: Sequence[int]
) -> tuple[Connection, ...]:
    """The places of injection of a UNet, shallow to deep, the middle last.

    Widths of the levels in `model_channels`, and residual blocks of each: the names of the released configurations.
    """
    skips = [Connection("skip", model_channels, 1)]
    for level, (mult, count) in enumerate(zip(channel_mult, num_res_blocks, strict=True)):
        if level:
            skips.append(Connection("skip", skips[-1].channels, 2**level))
        skips += [Connection("skip", mult * model_channels, 2**level)] * count
    return (*skips, Connection("middle", skips[-1].channels, skips[-1].downsample))


@dataclass(frozen=True)
class EncoderBlock:
    """One entry of `input_blocks` after the first: a residual block with its transformer, or a downsampling."""

    in_channels: int
    out_channels: int
    downsample: int  # latent cells a side that one cell of the output covers
    depth: int | None  # transformer blocks; 0: no transformer; None: this block halves the resolution


@dataclass(frozen=True, kw_only=True)
class EncoderSpec:
    """A UNet of the Stable Diffusion family, or the ControlNet for it.

    Raises `ValueError` when the lengths of the tuples do not belong together, when groups or heads do not divide a
    width, and for a condition encoder that does not exist.
    """

    model_channels: int
    channel_mult: tuple[int, ...]  # width of a level in model_channels, one a level
    num_res_blocks: tuple[int, ...]  # residual blocks of the encoder, one a level
    transformer_depth: tuple[int, ...]  # one for each residual block of the encoder; 0: no transformer there
    middle_depth: int | None  # 0: a transformer of norm and projections alone (SDXL small); None: no transformer
    context_dim: int  # width of the prompt's tokens
    num_heads: int | None = None  # heads of every attention, whatever its width (SD 1.x), or
    head_channels: int | None = None  # width of every head (SD 2.x, SDXL); exactly one of the two is given
    use_linear: bool = False  # proj_in and proj_out are linear instead of 1x1 convolutions
    adm_in_channels: int | None = None  # width of y; None: there is no y
    in_channels: int = LATENT_CHANNELS  # 9 for an inpaint base: latent, mask, masked latent
    out_channels: int = LATENT_CHANNELS
    decoder_depth: tuple[int, ...] | None = None  # deep to shallow; None: as the last block of the same encoder level
    condition_channels: int = 3
    condition_form: str = "released"  # a key of CONDITION_FORMS
    condition_widths: tuple[int, ...] = CONDITION_FORMS["released"]
    groups: int = 32  # of every GroupNorm

    def __post_init__(self) -> None:
        levels = len(self.channel_mult)
        if not levels or len(self.num_res_blocks) != levels:
            raise ValueError(
                f"channel_mult {self.channel_mult} and num_res_blocks {self.num_res_blocks} differ in length, or are "
                "empty; give one number a level in both"
            )
        if len(self.transformer_depth) != sum(self.num_res_blocks):
            raise ValueError(
                f"transformer_depth is {self.transformer_depth}; expected {sum(self.num_res_blocks)} numbers, one for "
                "each residual block of the encoder"
            )
        decoder_blocks = sum(self.num_res_blocks) + levels
        if self.decoder_depth is not None and len(self.decoder_depth) != decoder_blocks:
            raise ValueError(
                f"decoder_depth is {self.decoder_depth}; expected {decoder_blocks} numbers, one for each block of the "
                "decoder, deep to shallow"
            )
        if (self.num_heads is None) == (self.head_channels is None):
            raise ValueError(
                f"num_heads is {self.num_heads} and head_channels is {self.head_channels}; give exactly one of them"
            )
        condition_widths_of(self.condition_form, self.condition_widths)
        unit = self.num_heads or self.head_channels or 1
        for width in {mult * self.model_channels for mult in self.channel_mult}:
            if width % self.groups or width % unit:
                raise ValueError(
                    f"a width of {width} channels is not divisible by {self.groups} groups and by "
                    f"{unit} {'heads' if self.num_heads else 'channels a head'}; change channel_mult or model_channels"
                )

    def heads(self, channels: int) -> int:
        """Attention heads at a width."""
        if self.num_heads is not None:
            return self.num_heads
        assert self.head_channels is not None
        return channels // self.head_channels

    @property
    def embedding_channels(self) -> int:
        """Width of the timestep embedding inside the network."""
        return 4 * self.model_channels

    @property
    def decoder_depths(self) -> tuple[int, ...]:
        """Transformer depth of every decoder block, deep to shallow."""
        if self.decoder_depth is not None:
            return self.decoder_depth
        depths: list[int] = []
        first = 0
        for count in self.num_res_blocks:
            last = self.transformer_depth[first + count - 1] if count else 0
            depths = [last] * (count + 1) + depths
            first += count
        return tuple(depths)

    def encoder_blocks(self) -> Iterator[EncoderBlock]:
        """`input_blocks.1` to the last, shallow to deep."""
        depths = iter(self.transformer_depth)
        skips = self.connections[:-1]
        for before, after in zip(skips, skips[1:], strict=False):
            depth = None if after.downsample > before.downsample else next(depths)
            yield EncoderBlock(before.channels, after.channels, after.downsample, depth)

    @cached_property
    def connections(self) -> tuple[Connection, ...]:
        """The places of injection, shallow to deep, the middle last."""
        return encoder_connections(self.model_channels, self.channel_mult, self.num_res_blocks)
