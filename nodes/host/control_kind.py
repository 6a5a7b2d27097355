"""What a control reads, as far as the name of its file or the type of a union net says it.

`types`: the union types of the image, where Union Condition tells them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from zeroctl_core.checkpoint.pooling import PUBLISHED_NAME

from .control_net import is_ours

__all__ = ["control_name", "reads_colours", "reads_depth", "reads_lines"]

LINES = re.compile(
    r"canny|line-?_?art|scribble|soft-?_?edge|pidi|mlsd|m-lsd|teed|mistoline|(?<![a-z])(hed|edges?)(?![a-z])"
)
"""Names of controls for white lines on black, as all released ones of these types are."""
COLOURS = re.compile(
    r"tile|blur|colou?r|paint|shuffle|ip2p|pix2pix|bright|luminance|upscal|(?<![a-z])(gr[ae]y|sr)(?![a-z])"
)
"""Names of controls that take from the picture its colours."""
MAPS = re.compile(r"segment|normal|(?<![a-z])seg(?![a-z])")
"""Names of controls for maps in which black alone means nothing."""
DEPTH = re.compile(r"depth")
OTHERS = re.compile(r"union|pose|mask|invert|black|dark")
"""A name with one of these may mean something else by its lines or its depth."""
UNION_DEPTH, UNION_LINES, UNION_MAPS, UNION_COLOURS = {1}, {2, 3}, {4, 5}, {6, 7}
"""ComfyUI's numbers of the types: depth; hed to ted, and canny to mlsd; normal, segment; tile, repaint."""


def reads_lines(control_net: Any, types: Collection[int] = ()) -> bool:
    """Whether this CONTROL_NET is known to read white lines on black."""
    return _reads(control_net, types, LINES, UNION_LINES, (DEPTH, COLOURS, MAPS, OTHERS))


def reads_depth(control_net: Any, types: Collection[int] = ()) -> bool:
    """Whether this CONTROL_NET is known to read grey maps of depth."""
    return _reads(control_net, types, DEPTH, UNION_DEPTH, (LINES, COLOURS, MAPS, OTHERS))


def reads_colours(control_net: Any, black: bool, types: Collection[int] = ()) -> bool:
    """Whether a picture of one colour, which is `black` or another, is known to tell this CONTROL_NET something."""
    name, numbers = control_name(control_net), _union_types(control_net, types)
    if MAPS.search(name) or numbers & UNION_MAPS:
        return not black
    return bool(COLOURS.search(name) or numbers & UNION_COLOURS)


def control_name(control_net: Any) -> str:
    """The name of its file in small letters, of its folder where the file has diffusers' general one; else empty."""
    info = control_net.control_model.net.info if is_ours(control_net) else None
    if info is None:
        return ""
    return str(info.path.parent.name if info.path.stem.startswith(PUBLISHED_NAME) else info.path.stem).lower()


def _reads(
    control_net: Any,
    types: Collection[int],
    kind: re.Pattern[str],
    numbers: set[int],
    others: Sequence[re.Pattern[str]],
) -> bool:
    """Whether the union types are of these numbers, else whether the name is of this kind and of none of the others."""
    if own := _union_types(control_net, types):
        return own <= numbers
    name = control_name(control_net)
    return bool(kind.search(name)) and not any(other.search(name) for other in others)


def _union_types(control_net: Any, types: Collection[int]) -> set[int]:
    """What Union Condition says, else Set Union ControlNet Type; empty for auto, and for nets of another kind."""
    types = types or (getattr(control_net, "extra_args", None) or {}).get("control_type") or ()
    return {kind for kind in types if isinstance(kind, int)}
