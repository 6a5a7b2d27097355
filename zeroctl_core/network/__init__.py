"""The networks, by the names of the released checkpoints: spec, blocks, encoder, UNet, ControlNet."""
