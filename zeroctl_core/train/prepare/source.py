"""A base with prepared data: the source of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from ...annotator_files.annotator_net import AnnotatorNet
from ...annotators import ANNOTATORS
from ...annotators.settings_text import parse_settings
from ...control.stack import ControlStack
from ...control.unit import ControlUnit, Net
from ...network.unet import UNet
from ...sampling import Prediction, noise_of, sample
from ..data import ControlBatch, Prompts
from ..following import Ends, following_figures
from ..score import SCORES
from ..source import TrainingBase
from .cache import CachedData, Index, check_shards, read_index

GUIDANCE = 3.0  # of the samples of a score


class PreparedSource:
    """A base, and a folder that `prepare` wrote for its encoders: a `Source` of `zeroctl_core.train`.

    `index` is of one of the folder's sets; None: the last one. `net` is the network that its conditions were drawn
    with; where that is not given there is no score.

    Raises `ValueError` for a folder that was not prepared to the end.
    """

    def __init__(
        self, base: TrainingBase, folder: Path, index: Index | None = None, net: AnnotatorNet | None = None
    ) -> None:
        self.base, self.folder, self.net = base, folder, net
        self.index: Index = read_index(folder) if index is None else index
        self._known_ends: dict[tuple[int, int, int], tuple[Ends, Tensor]] = {}

    @property
    def unet(self) -> UNet:
        return self.base.unet

    @property
    def prediction(self) -> Prediction:
        return self.base.prediction

    @property
    def schedule(self) -> str:
        return self.base.schedule

    @property
    def encoders(self) -> tuple[str, str]:
        return self.base.encoders

    @property
    def conditions(self) -> Sequence[str]:
        return (self.index.condition,)

    def encode(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        return self.base.encode(pictures)

    def decode(self, latents: Tensor) -> Tensor:
        return self.base.decode(latents)

    def encode_prompts(self, prompts: Sequence[str]) -> Prompts:
        return self.base.encode_prompts(prompts)

    def data(self, condition: str, *, seed: int, count: int | None, cache: Path | None) -> CachedData:
        """The samples of the folder; `seed` and `cache` are of sources that draw theirs.

        Raises `ValueError` for data that was prepared for other encoders, and for a shard that is damaged.
        """
        if self.index.encoders != self.base.encoders:
            raise ValueError(
                f"{self.folder} was prepared with another autoencoder or text encoder than this base has; prepare it "
                "again for this base, into another folder"
            )
        check_shards(self.folder, self.index)
        return CachedData(self.folder, self.index, count)

    @torch.no_grad()
    def score(self, net: nn.Module, condition: str, *, n: int, seed: int, steps: int) -> dict[str, float]:
        """`following_figures` by the annotator, applied again to samples of the held-out conditions; empty
        where it has no such score."""
        lacks_net = bool(self.index.network) and self.net is None
        if self.index.annotator not in SCORES or not self.index.held_out or lacks_net:
            return {}
        held_out = CachedData(self.folder, self.index, held_out=True)
        batch = held_out.batch(range(min(n, len(held_out))))
        ends, without = self._ends(batch, seed, steps)
        pictures = self.samples(net, batch.condition, batch.prompts, seed=seed, steps=steps).cpu()
        again, compare = self._annotated(pictures), SCORES[self.index.annotator]
        others = compare(again, batch.condition.roll(1, dims=0))
        return following_figures(compare(again, batch.condition), others, ends, pictures, without)

    def _ends(self, batch: ControlBatch, seed: int, steps: int) -> tuple[Ends, Tensor]:
        """Floor and ceiling of the score of samples, and the pictures without control; computed once."""
        key = (len(batch.condition), seed, steps)
        if key not in self._known_ends:
            compare = SCORES[self.index.annotator]
            without = self.samples(None, batch.condition, batch.prompts, seed=seed, steps=steps).cpu()
            true = self.decode(batch.latent.to(next(self.unet.parameters()).device)).cpu()
            floor, ceiling = (compare(self._annotated(some), batch.condition) for some in (without, true))
            self._known_ends[key] = Ends(floor, ceiling), without
        return self._known_ends[key]

    def _annotated(self, pictures: Tensor) -> Tensor:
        """The conditions that the annotator draws of pictures [B, 3, H, W], with the settings of the data."""
        annotator = ANNOTATORS[self.index.annotator]
        annotate: Callable[..., Tensor] = annotator
        net = {} if self.net is None else {"net": self.net.load()}
        return annotate(pictures, **net, **parse_settings(annotator, self.index.settings))

    @torch.no_grad()
    def samples(self, net: nn.Module | None, condition: Tensor, prompts: Prompts, *, seed: int, steps: int) -> Tensor:
        """Pictures [B, 3, H, W] of prompts with a control, or without one; row r starts from the noise of seed + r."""
        device = next(self.unet.parameters()).device
        empty = self.encode_prompts([""])
        if prompts.sizes is not None and empty.y is not None:  # of the pictures, with a prompt and without
            empty = replace(empty, y=empty.y.expand(len(condition), -1), sizes=prompts.sizes.to(empty.y.device))
        on_device = {"y": prompts.whole_y, "empty_y": empty.whole_y}
        latent = sample(
            self.unet,
            noise_of(range(seed, seed + len(condition)), (condition.shape[2], condition.shape[3])).to(device),
            prompts.context.to(device),
            empty.context.to(device),
            **{name: None if value is None else value.to(device) for name, value in on_device.items()},
            prediction=self.prediction,
            schedule=self.schedule,
            stack=None if net is None else ControlStack([ControlUnit(cast(Net, net), condition)]),
            guidance=GUIDANCE,
            steps=steps,
        )
        return self.decode(latent)
