"""What a node says of the poses that it drew: why a picture is black, and what it left out or took otherwise."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from torch import Tensor

from zeroctl_core.annotators.pose import Frame, black_pictures, why_black

from ..notices import own_notice

__all__ = ["tell_of_poses"]


def tell_of_poses(
    title: str,
    notes: Sequence[str],
    condition: Tensor,
    frames: Sequence[Frame],
    parts: Collection[str],
    threshold: float,
) -> None:
    """One notice of the node `title`, if there is anything to say.

    condition: what was drawn of the frames, [B, H, W, 3]. `parts` and `threshold`: what was to be drawn of them.
    """
    causes = [
        (number, why_black(frame, parts, threshold))
        for number, (frame, picture) in enumerate(zip(frames, condition, strict=True))
        if not picture.any()
    ]
    texts = [black_pictures(causes, len(frames))] if causes else []
    if texts := list(dict.fromkeys([*texts, *notes])):
        own_notice(title, "; ".join(texts) + ".")
