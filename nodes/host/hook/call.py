"""One call of the UNet: what the host hands in, and whose rows it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from zeroctl_core import Crop, Rows

from .areas import Conds, rows_of_call
from .windows import samples_of_call

__all__ = ["Call"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Call:
    """One call of the UNet.

    model: the host's BaseModel. x: [B, 4, h, w] before input scaling. sigma: [B]. cond: the call's other arguments.
    options: its transformer_options. conds: what calc_cond_batch knew of it, None where the model is called past that.
    """

    model: Any
    x: Tensor
    sigma: Tensor
    cond: Mapping[str, Any]
    options: Mapping[str, Any]
    conds: Conds | None

    @property
    def size(self) -> tuple[int, int]:
        """Of the latents, (h, w)."""
        return self.x.shape[-2], self.x.shape[-1]

    @property
    def canvas(self) -> tuple[int, int]:
        """The latent (h, w) that the rows' crops are parts of."""
        return self.conds.canvas if self._cropped and self.conds is not None else self.size

    @cached_property
    def rows(self) -> Rows:
        """Role, sample and crop of every row. Raises `ValueError` where the batch cannot be split into its chunks."""
        rows = rows_of_call(self.x.shape[0], self.size, self.options, self.conds)
        if len(set(crop is None for crop in rows.crops)) == 2:
            # an area cond that covers the canvas and a plain one in one call
            rows = replace(rows, crops=tuple(crop or Crop(0, 0, *self.size) for crop in rows.crops))
        return rows

    @property
    def _cropped(self) -> bool:
        return any(crop is not None for crop in self.rows.crops)

    @cached_property
    def level(self) -> float:
        """The noise level. Read back from the device, which waits for it: ask only where it matters."""
        return float(self.sigma[0])

    @property
    def chunks(self) -> int:
        """How many conditionings the batch holds."""
        return len(self.options.get("cond_or_uncond") or (0,))

    @property
    def latents(self) -> int:
        """How many rows each conditioning has."""
        return len(self.rows) // self.chunks

    @property
    def names_samples(self) -> bool:
        """Whether somebody says which samples of the run the rows are."""
        return samples_of_call(self.latents, self.options) is not None

    @property
    def device(self) -> torch.device:
        """Where it runs: with several devices the host names it."""
        return self.options.get("multigpu_thread_device", self.x.device)
