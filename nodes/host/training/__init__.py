"""Training in the graph: a MODEL, a CLIP and a VAE as what a control is trained on, and a run of it."""
