"""The next world of the embedded model: things that people know beside the shapes that we draw, up to three of them."""
