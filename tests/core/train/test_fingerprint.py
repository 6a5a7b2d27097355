"""The identity of a run: what decides its weights, and nothing else."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from toy_training import HOW, ToyData, new_net, new_task, new_unet

from zeroctl_core.train.config import ControlConfig
from zeroctl_core.train.control import ControlTask
from zeroctl_core.train.fingerprint import fingerprint
from zeroctl_core.train.loop import fit
from zeroctl_core.train.objective import Objective


def test_the_dtype_of_the_bases_file_is_not_part_of_it():
    """What began on a float16 file goes on with the float32 copy of it in memory, and the other way round."""
    half = new_unet().half()
    whole = copy.deepcopy(half).float()
    assert fingerprint(half) == fingerprint(whole) == fingerprint(whole.to(memory_format=torch.channels_last))


def test_the_name_of_a_value_and_its_shape_are_part_of_it():
    layer = torch.nn.Linear(4, 2, bias=False)
    turned = torch.nn.Linear(2, 4, bias=False)
    turned.load_state_dict({"weight": layer.weight.detach().reshape(4, 2)})
    named = torch.nn.Sequential(layer)
    assert len({fingerprint(net) for net in (layer, turned, named)}) == 3


@pytest.mark.parametrize("change", [{"steps": 8}, {"checkpoint_every": 1}])
def test_a_run_goes_on_where_what_differs_decides_no_weight(tmp_path, change):
    fit(new_task(), HOW, folder=tmp_path, stop_at=4)
    steps = []
    fit(new_task(), replace(HOW, **change), folder=tmp_path, callbacks=[lambda now: steps.append(now.step)])
    assert steps[0] == 5


def test_device_threads_and_places_are_not_part_of_it():
    unet = new_unet()
    name = ControlTask(unet, new_net(unet), ToyData(), Objective(), seed=3, batch_size=2, device="cpu").name
    assert name == new_task().name and "cpu" not in name
    assert ControlConfig().record() == ControlConfig(device="cuda", threads=3, run="other").record()
