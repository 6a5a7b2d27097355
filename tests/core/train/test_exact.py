"""A step is that of diffusers' `train_controlnet.py`: its loss, its gradients and its first update."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from diffusers_twins import controlnet_twin, diffusers, unet_twin
from random_weights import UNetSpec, random_controlnet, random_unet, spec_of
from torch import Tensor, nn

from zeroctl_core import ControlNet, UNet
from zeroctl_core.bases import recognise
from zeroctl_core.checkpoint.layouts import to_diffusers
from zeroctl_core.network.picture_sizes import PictureSizes, sizes_of_crop
from zeroctl_core.train.control import ControlTask, StepInputs
from zeroctl_core.train.data import ControlBatch, Prompts
from zeroctl_core.train.draws import batch_indices
from zeroctl_core.train.objective import Objective
from zeroctl_core.train.optimisation import Optimisation
from zeroctl_core.train.state import State

LOSS, GRADIENTS, WORST, UPDATE = 1e-6, 1e-5, 1e-4, 1e-3
"""Relative errors: of the loss, of all gradients together and of one tensor's (L2), and of AdamW's first update."""
ROWS, RATE = 2, 1e-3
SIZES = [
    sizes_of_crop((480, 1200), (0, 120, 480, 960), (64, 128)),  # cut at both sides, then made smaller
    sizes_of_crop((900, 600), (300, 0, 300, 600), (64, 128)),
]


class Data:
    """As many samples as a batch has rows, on latents that are not square."""

    name = "exact"

    def __init__(self, spec: UNetSpec) -> None:
        draw = torch.Generator().manual_seed(7)
        self.latents = torch.randn(ROWS, 4, 8, 16, generator=draw)
        self.contexts = torch.randn(ROWS + 1, 11, spec.context_dim, generator=draw)
        self.pooled = torch.randn(ROWS + 1, 1280, generator=draw)
        self.conditions = torch.rand(ROWS, 3, 64, 128, generator=draw)
        self.has_y = spec.adm_in_channels is not None
        self.empty = self.prompts([ROWS])

    def __len__(self) -> int:
        return ROWS

    def prompts(self, rows: Sequence[int]) -> Prompts:
        rows = list(rows)
        if not self.has_y:
            return Prompts(self.contexts[rows])
        return Prompts(self.contexts[rows], self.pooled[rows])

    def batch(self, indices: Sequence[int]) -> ControlBatch:
        rows = list(indices)
        prompts = self.prompts(rows)
        if self.has_y:
            prompts = replace(prompts, sizes=torch.tensor([SIZES[row].numbers for row in rows]))
        return ControlBatch(self.latents[rows], prompts, self.conditions[rows], torch.full((len(rows), 4, 8, 16), 0.1))


def their_time_ids(sizes: PictureSizes) -> Tensor:
    """What the pipeline of diffusers makes of its arguments of the same names."""
    config = SimpleNamespace(addition_time_embed_dim=256)
    unet = SimpleNamespace(config=config, add_embedding=SimpleNamespace(linear_1=SimpleNamespace(in_features=2816)))
    pipeline = diffusers().StableDiffusionXLPipeline
    return pipeline._get_add_time_ids(
        SimpleNamespace(unet=unet), *sizes, dtype=torch.float32, text_encoder_projection_dim=1280
    )


@dataclass(frozen=True)
class Twins:
    """The same training by this project and by diffusers."""

    spec: UNetSpec
    task: ControlTask
    unet: nn.Module
    net: nn.Module

    @classmethod
    def of(cls, preset: str, prediction: str, start: str) -> Twins:
        spec = spec_of(preset)
        state = random_unet(spec, spread=0.1)
        base = recognise({key: tuple(value.shape) for key, value in state.items()})
        unet = UNet(base)
        unet.load_state_dict(state)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            net = ControlNet.trainable_copy(unet)
        if start == "random":
            zero = {k: v for k, v in random_controlnet(spec, seed=1, spread=0.1).items() if k.startswith(CONVS)}
            net.load_state_dict({**net.state_dict(), **zero})
        theirs = controlnet_twin(spec, copy.deepcopy(net.state_dict())).requires_grad_(True).train()
        locked = unet_twin(spec, copy.deepcopy(state)).requires_grad_(False)
        objective = Objective(prediction=prediction, prompt_dropout=0.5)
        return cls(spec, ControlTask(unet, net, Data(spec), objective, seed=SEED, batch_size=ROWS), locked, theirs)

    def their_loss(self, inputs: StepInputs) -> Tensor:
        """What the released script computes of the same latents, noise, timesteps, prompts and conditions."""
        prediction = self.task.objective.prediction
        scheduler = diffusers().DDPMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            num_train_timesteps=1000,
            prediction_type={"eps": "epsilon", "v": "v_prediction"}[prediction],
        )
        latents, noise, t = inputs.latent, inputs.noise, inputs.t
        noisy, added = scheduler.add_noise(latents, noise, t), None
        if inputs.prompts.y is not None:
            ids = torch.cat([their_time_ids(SIZES[row]) for row in batch_indices(SEED, 0, ROWS, ROWS)])
            added = {"text_embeds": inputs.prompts.y[:, :1280], "time_ids": ids}
        shared = {"encoder_hidden_states": inputs.prompts.context, "added_cond_kwargs": added, "return_dict": False}
        skips, middle = self.net(noisy, t, controlnet_cond=inputs.condition, **shared)
        predicted = self.unet(
            noisy, t, down_block_additional_residuals=skips, mid_block_additional_residual=middle, **shared
        )[0]
        target = noise if prediction == "eps" else scheduler.get_velocity(latents, noise, t)
        return F.mse_loss(predicted.float(), target.float(), reduction="mean")

    def as_theirs(self, ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors of our copy by the names of diffusers, in the order of its parameters."""
        renamed = to_diffusers(dict(ours), self.spec.num_res_blocks)
        return {name: renamed[name].contiguous() for name, _ in self.net.named_parameters()}


CONVS = ("zero_convs.", "middle_block_out.")
SEED = 2  # one of the two prompts is dropped at step 0


def apart(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> tuple[float, float]:
    """Relative L2 error of all tensors together, and of the worst one; a tensor of zeros must be one here too."""

    def norm(tensors: Sequence[Tensor]) -> float:
        return float(torch.cat([tensor.double().flatten() for tensor in tensors]).norm())

    zeros = [name for name, tensor in theirs.items() if not tensor.any()]
    assert not [name for name in zeros if ours[name].any()]
    errors = {name: norm([ours[name] - theirs[name]]) / norm([theirs[name]]) for name in theirs if name not in zeros}
    all_together = norm([ours[name] - theirs[name] for name in theirs]) / norm(list(theirs.values()))
    return all_together, max(errors.values())


CASES = [
    pytest.param(preset, prediction, start, id=f"{preset} {prediction} {start}", marks=marks)
    for presets, marks in (
        (("narrow", "narrow21", "narrowxl"), ()),
        (("thin", "thin21", "thinxl"), pytest.mark.long),  # of 320 channels: 100 s of a core
    )
    for preset in presets
    for prediction in ("eps", "v")
    for start in ("zero", "random")
]


@pytest.mark.parametrize(("preset", "prediction", "start"), CASES)
def test_loss_gradients_and_first_update_equal_those_of_the_released_script(preset, prediction, start):
    twins = Twins.of(preset, prediction, start)
    task, inputs = twins.task, twins.task.draw(0)
    loss, expected = task.loss(0), twins.their_loss(inputs)
    assert abs(loss.item() / expected.item() - 1) <= LOSS
    loss.backward()
    expected.backward()
    assert all(weight.grad is None for weight in (*task.unet.parameters(), *twins.unet.parameters()))
    gradients = twins.as_theirs({name: weight.grad for name, weight in task.net.named_parameters()})
    theirs = {name: weight.grad for name, weight in twins.net.named_parameters()}
    together, worst = apart(gradients, theirs)
    assert together <= GRADIENTS and worst <= WORST, (together, worst)

    before = {name: weight.detach().clone() for name, weight in twins.net.named_parameters()}
    state = State(task.modules, Optimisation(steps=1, learning_rate=RATE, warmup_steps=0), "", None)
    state.clip_gradients()
    state.advance()
    nn.utils.clip_grad_norm_(twins.net.parameters(), 1.0)
    torch.optim.AdamW(twins.net.parameters(), lr=RATE, betas=(0.9, 0.999), weight_decay=1e-2, eps=1e-8).step()
    ours = twins.as_theirs({name: weight.detach() for name, weight in task.net.named_parameters()})
    update = {name: ours[name] - before[name] for name in before}
    their_update = {name: weight.detach() - before[name] for name, weight in twins.net.named_parameters()}
    together, _ = apart(update, their_update)
    assert together <= UPDATE, together


def test_the_rows_of_a_step_have_a_prompt_and_the_empty_one():
    """Otherwise equality would not prove that a prompt and its `y` are dropped together, and the sizes kept."""
    twins = Twins.of("narrowxl", "eps", "zero")
    prompts, data = twins.task.draw(0).prompts, twins.task.data
    is_empty = [torch.equal(row, data.empty.context[0]) for row in prompts.context]
    assert sorted(is_empty) == [False, True]
    assert is_empty == [torch.equal(row, data.empty.y[0]) for row in prompts.y[:, :1280]]
    assert prompts.y.shape == (ROWS, 2816) and not torch.equal(prompts.y[0, 1280:], prompts.y[1, 1280:])


def test_the_loss_of_the_other_prediction_is_far_away():
    twins = Twins.of("narrow", "eps", "random")
    inputs = twins.task.draw(0)
    other = SimpleNamespace(objective=Objective(prediction="v"))
    swapped = Twins(twins.spec, other, twins.unet, twins.net)
    assert abs(swapped.their_loss(inputs).item() / twins.their_loss(inputs).item() - 1) > 10 * LOSS
