"""Let DPT see pictures that are not square."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def any_size(model: Any, height: int, width: int) -> Iterator[None]:
    """Inside, `model`, a `DPTForDepthEstimation`, takes pictures of this size, whole multiples of its patches.

    The class can do it but does not: it puts its patches into a square, which is an error for most sizes and a mixed-up
    picture for the rest (16 x 36 patches are 24 x 24), and its hybrid refuses sizes other than the trained one unless
    it is asked for. On a backbone of its own it needs no help.
    """
    config = model.config
    if config.backbone_config is not None and not config.is_hybrid:
        yield
        return
    rows, columns = height // config.patch_size, width // config.patch_size
    handles = [model.neck.register_forward_pre_hook(lambda neck, args: (args[0], rows, columns))]
    if config.is_hybrid:
        handles.append(
            model.dpt.embeddings.register_forward_pre_hook(
                lambda embeddings, args, kwargs: (args, {**kwargs, "interpolate_pos_encoding": True}), with_kwargs=True
            )
        )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
