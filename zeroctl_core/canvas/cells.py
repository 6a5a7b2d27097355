"""How the canvas of a run is counted: the Stable Diffusion family has one autoencoder's geometry."""

PIXELS_PER_CELL = 8
"""Pixels a side of the canvas that one cell of the latent stands for."""
