"""The embedded model as the objects of the host: MODEL, CLIP, VAE."""
