"""Pictures and masks on the canvas of a run: geometry alone, the ground floor."""

from .placing import RESIZE_MODES, Placed, place_mask, resize_condition

__all__ = ["RESIZE_MODES", "Placed", "place_mask", "resize_condition"]
