"""A real photograph, to annotate where a person brings none."""

from __future__ import annotations

import torch
from torch import Tensor


def photograph() -> Tensor:
    """Part of a real photograph, [1, 3, 400, 400] in 0..1: a cup of coffee by Rachel Michetti, in the public domain,
    from scikit-image.

    Raises `ImportError` that says what to install.
    """
    try:
        from skimage import data
    except ModuleNotFoundError as error:
        raise ImportError('the photograph needs scikit-image: pip install -e ".[demo]"') from error
    whole = torch.from_numpy(data.coffee().copy()).movedim(-1, 0)[None].float() / 255  # type: ignore[no-untyped-call]
    return whole[..., 100 : 100 + whole.shape[-2]]
