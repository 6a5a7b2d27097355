"""Whether the numbers of a file can be those of a network: all are finite, and no layer is zero that must not be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from torch import Tensor

from .checkpoint_error import CheckpointError
from .extremes import Extremes, extremes_of
from .key_faults import named, short
from .plural import plural
from .threads import for_each
from .zeros import lacks_a_piece


def check_values(
    path: Path,
    weights: Mapping[str, Tensor],
    may_be_zero: Callable[[str], bool],
    extremes: Mapping[int, Extremes] = MappingProxyType({}),
) -> None:
    """Look at every number once, at its bits, which nothing overflows; `extremes` of a `WeightFile` save looking again.

    Raises `CheckpointError` for NaN and infinite numbers, and for weights that are all zero or lack a piece, which an
    interrupted download leaves where its program reserved the file first; a network that was never trained has none.
    """
    name = short(path.name)
    numbers = {key: tensor for key, tensor in weights.items() if tensor.numel() and tensor.is_floating_point()}
    looks = _looks(numbers, extremes)
    bad = [key for key in numbers if not looks[key].finite]
    if bad:
        raise CheckpointError(
            f"{name} has NaN or infinite numbers in {len(bad)} of {len(weights)} weights ({named(bad)}); every picture "
            "would be black. Download it again, or get another version"
        )
    layers = [key for key in numbers if key.endswith(("weight", "running_var"))]
    if zero := [key for key in layers if looks[key].zero and not may_be_zero(key)]:
        raise CheckpointError(
            f"the download of {name} is not complete: of its layers, {plural(len(zero), 'weight')} "
            f"{'is' if len(zero) == 1 else 'are'} all zeros ({named(zero)}). Download it again"
        )
    if parts := [key for key in layers if lacks_a_piece(numbers[key])]:
        raise CheckpointError(
            f"the download of {name} is not complete: a piece is zeros that ends in the middle of "
            f"{plural(len(parts), 'weight')} ({named(parts)}). Download it again"
        )


def _looks(weights: Mapping[str, Tensor], extremes: Mapping[int, Extremes]) -> dict[str, Extremes]:
    looks = {key: extremes[id(tensor)] for key, tensor in weights.items() if id(tensor) in extremes}

    def look(key: str) -> None:
        looks[key] = extremes_of(weights[key])

    for_each(look, [key for key in weights if key not in looks])
    return looks
