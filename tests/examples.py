"""The names of the example workflows that tests run by themselves; the host shows them as titles of templates."""

START = "ControlNet 1 - Start here (no download)"
ONE = "ControlNet 2 - One control"
TWO = "ControlNet 3 - Two controls"
COND_ONLY = "ControlNet 5 - Cond only, weights of the paper"
TILES = "ControlNet 6 - Tiles with Apply ControlNet of ComfyUI"
TRAIN = "ControlNet 8 - Train your own (no download)"
