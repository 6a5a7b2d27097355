"""The autoencoder: 8 times smaller on each side, 4 channels, under the conventions of Stable Diffusion's."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..network.spec import LATENT_CHANNELS

SCALE = 0.18215  # a latent times this has a spread near 1: Stable Diffusion's number
WIDTHS = (32, 64, 96)  # at 1/2, 1/4 and 1/8 of the picture's side


class Residual(nn.Module):
    """x + conv(relu(conv(relu(x)))). Without a norm, so that tiles and sizes do not change what a place looks like."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(self.conv1(x.relu()).relu())


class Autoencoder(nn.Module):
    """`encode(image [B, 3, 8h, 8w] in 0..1) -> [B, 4, h, w]`, and `decode`, which returns 0..1 up to overshoot.

    The latent is Stable Diffusion's: times `SCALE` it has a mean of 0 and a spread of 1 in every channel.
    """

    def __init__(self, widths: tuple[int, int, int] = WIDTHS) -> None:
        super().__init__()
        half, quarter, eighth = widths
        self.encoder = nn.Sequential(
            nn.Conv2d(3, half, 4, stride=2, padding=1),
            Residual(half),
            nn.Conv2d(half, quarter, 4, stride=2, padding=1),
            Residual(quarter),
            nn.Conv2d(quarter, eighth, 4, stride=2, padding=1),
            Residual(eighth),
            Residual(eighth),
            nn.ReLU(),
            nn.Conv2d(eighth, 2 * LATENT_CHANNELS, 3, padding=1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(LATENT_CHANNELS, eighth, 3, padding=1),
            Residual(eighth),
            Residual(eighth),
            nn.Conv2d(eighth, 4 * quarter, 3, padding=1),
            nn.PixelShuffle(2),
            Residual(quarter),
            Residual(quarter),
            nn.Conv2d(quarter, 4 * half, 3, padding=1),
            nn.PixelShuffle(2),
            Residual(half),
            Residual(half),
            nn.ReLU(),
            nn.Conv2d(half, 4 * 3, 3, padding=1),
            nn.PixelShuffle(2),
        )

    def distribution(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance of the latent, [B, 4, h, w] each."""
        mean, log_variance = self.encoder(image * 2 - 1).chunk(2, dim=1)
        return mean, log_variance.clamp(-20, 10)

    def encode(self, image: Tensor) -> Tensor:
        """The mean of the latent."""
        return self.distribution(image)[0]

    def decode(self, latent: Tensor) -> Tensor:
        picture: Tensor = self.decoder(latent)
        return (picture + 1) / 2

    @torch.no_grad()
    def fold_statistics(self, mean: Tensor, spread: Tensor) -> None:
        """Make the latents of mean [4] and standard deviation [4] have mean 0 and deviation 1 / SCALE from now on.

        Folded into the last convolution of the encoder and the first of the decoder: pictures stay as they were, but
        at the border, where the decoder's padding of 0 now means the mean latent.
        """
        last, first = self.encoder[-1], self.decoder[0]
        assert isinstance(last, nn.Conv2d) and isinstance(first, nn.Conv2d) and last.bias is not None
        gain = 1 / (spread * SCALE)
        last.weight[:LATENT_CHANNELS] *= gain[:, None, None, None]
        last.bias[:LATENT_CHANNELS] = (last.bias[:LATENT_CHANNELS] - mean) * gain
        last.bias[LATENT_CHANNELS:] += 2 * gain.log()
        assert first.bias is not None
        first.bias += (first.weight * mean[None, :, None, None]).sum(dim=(1, 2, 3))
        first.weight /= gain[None, :, None, None]
