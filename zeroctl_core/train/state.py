"""What a run consists of between two steps: weights, optimiser and averages, saved and restored together."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ..files.plural import plural
from .averages import Averages
from .checkpointing import Checkpoint, ResumeError, latest_checkpoint, write_checkpoint
from .muon import Muon, matrices_of
from .optimisation import Optimisation
from .surprise import Surprise


class State:
    """The weights that are trained, their optimiser and their averages after `step` optimiser steps.

    `run` is what the run is, as text, and `folder` where its checkpoints are; without a folder nothing is saved.
    """

    def __init__(self, modules: Mapping[str, nn.Module], how: Optimisation, run: str, folder: Path | None) -> None:
        self.how, self.run, self.folder = how, run, folder
        self.step = 0
        self.is_whole = True  # whether weights, optimiser and averages belong to the same step
        self.parameters = {
            f"{module_name}.{name}": parameter
            for module_name, module in modules.items()
            for name, parameter in module.named_parameters()
            if parameter.requires_grad
        }
        matrices = [] if how.matrix_rate is None else matrices_of(modules)
        of_muon = {id(parameter) for parameter in matrices}
        self.optimiser = torch.optim.AdamW(
            [parameter for parameter in self.parameters.values() if id(parameter) not in of_muon],
            lr=how.learning_rate,
            betas=how.betas,
            weight_decay=how.weight_decay,
            foreach=True,
        )
        self.muon = Muon(matrices, lr=how.matrix_rate or 0.0, weight_decay=how.weight_decay) if matrices else None
        self.averages = None if how.ema_decay is None else Averages(self.parameters, how.ema_decay)

    def clip_gradients(self) -> float:
        """Shorten the gradients of all weights together to `how.clip_norm`; their L2 norm before."""
        return float(torch.nn.utils.clip_grad_norm_(list(self.parameters.values()), self.how.clip_norm))

    def clear_gradients(self) -> None:
        for parameter in self.parameters.values():
            parameter.grad = None

    def advance(self) -> None:
        """Take an optimiser step along the gradients."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.how.rate(self.step)
        self.is_whole = False
        self.optimiser.step()
        if self.muon is not None:
            for group in self.muon.param_groups:
                group["lr"] = (self.how.matrix_rate or 0.0) * self.how.share(self.step)
            self.muon.step()
        self.clear_gradients()
        self.step += 1
        if self.averages is not None:
            self.averages.update(self.step)
        self.is_whole = True

    def put_back_weights(self) -> None:
        """Put the weights back where averages were still in their place when the run was interrupted."""
        if self.averages is not None:
            self.averages.put_back()

    def save(self) -> None:
        """Write a checkpoint of this step."""
        if self.folder is not None:
            tensors = dict(self._tensors())
            write_checkpoint(self.folder, Checkpoint(self.step, self.run, tensors, torch.get_num_threads()))

    def restore(self) -> None:
        """Go back to the newest checkpoint of this run, where there is one.

        Nothing keeps the checkpoint's file afterwards: a file in use cannot be removed on Windows.

        Raises `ResumeError` for the checkpoint of another run, and for one of more steps than are asked for. Warns
        where another number of threads will change the last bits.
        """
        if self.folder is None or (checkpoint := latest_checkpoint(self.folder, self.run)) is None:
            return
        if checkpoint.step > self.how.steps:
            raise ResumeError(
                f"the run in {self.folder} has taken {checkpoint.step} steps, and {plural(self.how.steps, 'step')} "
                "are asked for; ask for more, or give another name of the run to begin anew"
            )
        if checkpoint.threads not in (None, threads := torch.get_num_threads()):
            warnings.warn(
                f"the run began with {plural(checkpoint.threads, 'thread')} and goes on with {threads}: its weights "
                "will not be equal to the bit to those of an uninterrupted run",
                Surprise,
                stacklevel=2,
            )
        tensors = checkpoint.tensors
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(tensors[f"weight.{name}"])
                if self.averages is not None:
                    self.averages.values[name].copy_(tensors[f"average.{name}"])
                moments, state = self._moments(parameter), {}
                for key in ("exp_avg", "exp_avg_sq", "momentum"):
                    # in the weight's own layout in memory: arithmetic on another layout may round in another way
                    if f"optimiser.{key}.{name}" in tensors:
                        state[key] = torch.empty_like(parameter).copy_(tensors[f"optimiser.{key}.{name}"])
                if moments is self.optimiser:
                    state["step"] = tensors[f"optimiser.step.{name}"].clone()
                moments.state[parameter] = state
        self.step = checkpoint.step

    def _moments(self, parameter: Tensor) -> torch.optim.Optimizer:
        """The optimiser that moves a weight."""
        if self.muon is not None and any(parameter is one for one in self.muon.param_groups[0]["params"]):
            return self.muon
        return self.optimiser

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        for name, parameter in self.parameters.items():
            yield f"weight.{name}", parameter.detach()
            for key, value in self._moments(parameter).state[parameter].items():
                yield f"optimiser.{key}.{name}", value
            if self.averages is not None:
                yield f"average.{name}", self.averages.values[name]
