"""The locked UNet around the trainable copy: what moves, what does not, and that the shortcuts change nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from toy_training import HOW, ToyData, apart, new_net, new_task, new_unet, weights_of

from zeroctl_core.train.control import ControlTask
from zeroctl_core.train.data import ControlBatch, Prompts
from zeroctl_core.train.draws import batch_indices
from zeroctl_core.train.loop import fit
from zeroctl_core.train.objective import Objective

PLAIN = replace(HOW, weight_decay=0.0, warmup_steps=1, ema_decay=None)  # decay alone would move every weight


def moved(steps: int) -> set[str]:
    """The parts of the control that are not what they were, after so many steps."""
    task = new_task()
    before = weights_of(task.net)
    fit(task, replace(PLAIN, steps=steps))
    return {".".join(name.split(".")[:2]) for name in apart(before, weights_of(task.net))}


def test_an_untrained_control_changes_nothing_to_the_bit():
    task = new_task()
    inputs = task.draw(0)
    assert torch.equal(task.errors(inputs), task.errors(inputs, with_control=False))
    assert task.paired_gap() == 0.0


def test_the_copy_starts_equal_to_the_base_to_the_bit_and_in_memory_of_its_own():
    unet = new_unet()
    net = new_net(unet)
    base = dict(unet.named_parameters())
    shared = [name for name, _ in net.named_parameters() if name in base]
    assert len(shared) > 100 and not apart({n: dict(net.named_parameters())[n] for n in shared}, base)
    assert all(dict(net.named_parameters())[name].data_ptr() != base[name].data_ptr() for name in shared)


def test_the_control_wakes_in_three_steps():
    """Zero convs move first, then the copy and the encoder's own zero conv, then the encoder behind it."""
    first, second, third = moved(1), moved(2), moved(3)
    assert {name.split(".")[0] for name in first} == {"zero_convs", "middle_block_out"}
    assert {"input_blocks", "middle_block", "time_embed"} <= {name.split(".")[0] for name in second}
    assert "input_hint_block.14" in second and "input_hint_block.0" not in second
    assert "input_hint_block.0" in third


def test_no_locked_weight_moves_or_gets_a_gradient():
    task = new_task()
    before = weights_of(task.unet)
    fit(task, replace(HOW, steps=3))
    assert not apart(before, weights_of(task.unet))
    assert all(weight.grad is None for weight in task.unet.parameters())


def test_a_locked_weight_with_a_gradient_is_an_error_that_names_it():
    task = new_task()
    task.unet.out[2].weight.requires_grad_(True)
    with pytest.raises(RuntimeError, match=r"weights of the locked UNet have a gradient: 1, the first is out\.2\.w"):
        fit(task, replace(HOW, steps=2))


def test_the_gradients_equal_those_of_the_whole_graph():
    """What is left out of the graph has no part in the gradient of the control."""
    task = new_task()
    fit(task, replace(HOW, steps=3))  # zero convs that are no longer zero
    task.net.zero_grad()
    task.loss(7).backward()
    lean = {name: weight.grad.clone() for name, weight in task.net.named_parameters()}

    task.net.zero_grad()
    task.unet.requires_grad_(True)
    inputs = task.draw(7)
    residuals = task.net(inputs.noisy, inputs.times, inputs.prompts.context, feature=task.net.encode(inputs.condition))
    prediction = task.unet(inputs.noisy, inputs.times, inputs.prompts.context, residuals=residuals)
    task.objective.errors(prediction, inputs.latent, inputs.noise, inputs.t).mean().backward()
    for name, weight in task.net.named_parameters():
        assert torch.allclose(weight.grad, lean[name], rtol=1e-4, atol=1e-7), name


def test_the_loss_is_a_function_of_weights_and_step_alone():
    one, other = new_task(), new_task()
    other.loss(4), torch.rand(3)
    losses = [task.loss(step).item() for task, step in ((one, 2), (other, 2), (one, 3))]
    assert losses[0] == losses[1] != losses[2]


def test_the_gap_grows_as_the_control_learns():
    task = new_task()
    fit(task, replace(HOW, steps=15, learning_rate=5e-3, ema_decay=None))
    assert task.paired_gap() > 0
    assert task.paired_gap() == task.paired_gap()


def test_dropped_prompts_are_the_empty_one():
    task = new_task(objective=Objective(prompt_dropout=1.0), batch_size=4)
    assert torch.equal(task.draw(0).prompts.context, task.data.empty.context.expand(4, -1, -1))
    task = new_task(objective=Objective(prompt_dropout=0.0), batch_size=4)
    assert torch.equal(task.draw(0).prompts.context, task.data.contexts[batch_indices(3, 0, 4, len(task.data))])


def test_a_batch_larger_than_the_data_is_refused():
    unet = new_unet()
    with pytest.raises(ValueError, match="the batch size is 7, the number of samples 6"):
        ControlTask(unet, new_net(unet), ToyData(), Objective(), seed=0, batch_size=7)


@pytest.mark.parametrize("other", [{"seed": 4}, {"batch_size": 3}, {"objective": Objective(prompt_dropout=0.4)}])
def test_another_setting_is_another_run(other):
    assert new_task().name == new_task().name != new_task(**other).name


def test_another_base_is_another_run():
    task = new_task()
    unet = new_unet()
    with torch.no_grad():
        unet.out[2].bias[0] += 1
    same_start = ControlTask(unet, new_net(unet), ToyData(), Objective(), seed=3, batch_size=2)
    assert same_start.name != task.name


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.0, 255.0), (float("nan"), float("nan"))])
def test_a_condition_out_of_range_is_named(low, high):
    condition = torch.tensor([low, high]).reshape(1, 1, 1, 2).expand(1, 3, 8, 2)
    with pytest.raises(ValueError, match=f"values from {low:g} to {high:g}; expected 0..1"):
        ControlBatch(torch.zeros(1, 4, 1, 1), Prompts(torch.zeros(1, 3, 64)), condition)


def test_a_latent_is_drawn_from_its_mean_and_deviation_and_y_is_dropped_with_the_prompt():
    class Spread(ToyData):
        def batch(self, indices):
            batch = super().batch(indices)
            prompts = Prompts(batch.prompts.context, torch.ones(len(indices), 5))
            return replace(batch, prompts=prompts, deviation=torch.full_like(batch.latent, 0.5))

    data = Spread()
    data.empty = Prompts(data.empty.context, torch.zeros(1, 5))
    unet = new_unet()
    embedded = []
    unet.encode = lambda x, t, context, y: (embedded.append(y), (None, []))[1]
    task = ControlTask(unet, new_net(unet), data, Objective(prompt_dropout=0.5), seed=3, batch_size=6)
    inputs = task.draw(0)
    apart = inputs.latent - data.latents[batch_indices(3, 0, 6, 6)]
    assert 0.4 < float(apart.std()) < 0.6 and not torch.allclose(apart, inputs.noise * 0.5)
    dropped = task.objective.dropped(3, 0, 6)
    assert 0 < int(dropped.sum()) < 6 and torch.equal(embedded[0][:, 0], (~dropped).float())
    assert torch.equal(inputs.latent, task.draw(0).latent)
