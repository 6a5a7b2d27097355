"""What a latent is on every base of this package: the Stable Diffusion family has one autoencoder's geometry."""

PIXELS_PER_CELL = 8
"""Pixels a side of the canvas that one cell of the latent stands for."""

LATENT_CHANNELS = 4
"""Channels of the noisy latent: an inpaint base appends mask and masked latent behind them."""
