"""The embedded model: a latent diffusion model small enough for a repository, and the world it was trained on."""
