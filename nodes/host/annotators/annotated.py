"""The annotators' way through a node: check the pictures, load the networks, run them on the batch in chunks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import comfy.model_management
from torch import Tensor, nn

from zeroctl_core.annotators.pictures.alpha import Transparent, without_alpha
from zeroctl_core.annotators.pictures.check import check_picture
from zeroctl_core.annotators.pictures.opencv import check_opencv
from zeroctl_core.annotators.pictures.pause import pausing

from ..inputs import check_image
from .chunks import in_chunks

__all__ = ["annotate_batch", "read_picture"]

T = TypeVar("T")


def read_picture(image: Any, name: str = "image", transparent: Transparent = "white") -> Tensor:
    """The IMAGE of the input `name`, grey, in colour or with alpha, as [B, 3, H, W] in 0..1, a filter's overshoot kept.

    Raises `ValueError` for what is not an IMAGE of 1, 3 or 4 channels, and for values outside of 0..1.
    """
    picture = without_alpha(check_image(image, name, channels=(1, 3, 4)), transparent)
    picture = picture.expand(-1, 3, -1, -1) if picture.shape[1] == 1 else picture
    check_picture(name, picture)
    return picture


def annotate_batch(
    owner: str,
    picture: Tensor,
    run: Callable[[slice, Tensor, Sequence[nn.Module]], T],
    *,
    load: Callable[[], Sequence[nn.Module]] | None = None,
    needs: Sequence[str] = (),
) -> list[T]:
    """What `run` makes of a batch [B, 3, H, W], some pictures at a time, in order.

    `run` gets the chunk's place in the batch, its pictures on the device of the networks, and the networks from `load`.
    It may be interrupted at every layer of a network, and wherever it calls `pause`.
    A tensor that it returns is moved to where the host keeps the outputs of nodes.
    Raises `ValueError` for pictures outside 0..1 and `ImportError` for one of `needs`, both before anything is loaded.
    """
    nets: Sequence[nn.Module] = ()
    if load is not None:
        check_picture(owner, picture)
        if "cv2" in needs:
            check_opencv(owner)
        nets = load()
    device = next(nets[0].parameters()).device if nets else picture.device

    def step(part: slice) -> T:
        with pausing(comfy.model_management.throw_exception_if_processing_interrupted, *nets):
            output: Any = run(part, picture[part].to(device), nets)
        if isinstance(output, Tensor):
            output = output.to(comfy.model_management.intermediate_device())
        return cast(T, output)

    return in_chunks(len(picture), device, step)
