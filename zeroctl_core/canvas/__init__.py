"""Pictures and masks on the canvas of a run: geometry alone, the ground floor."""

from .mask import place_mask, prepared_mask
from .placing import RESIZE_MODES, Placed, resize_condition

__all__ = ["RESIZE_MODES", "Placed", "place_mask", "prepared_mask", "resize_condition"]
