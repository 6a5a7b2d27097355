"""No number of a training's settings is accepted that it could not be trained with."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from zeroctl_core.train.config import ControlConfig
from zeroctl_core.train.draws import generator
from zeroctl_core.train.objective import Objective
from zeroctl_core.train.optimisation import Optimisation
from zeroctl_core.train.ranges import LARGEST_SEED

CONFIGS = (ControlConfig(), Objective(), Optimisation(steps=1, learning_rate=1e-3))
NUMBERS = [
    pytest.param(config, field.name, id=f"{type(config).__name__}.{field.name}")
    for config in CONFIGS
    for field in fields(config)
    if field.init and ("int" in str(field.type) or "float" in str(field.type))
]


def with_number(config, name: str, number: float):
    """The config with this number in the place of the one it has, or of the first of several."""
    value = getattr(config, name)
    return replace(config, **{name: (number, *value[1:]) if isinstance(value, tuple) else number})


def test_the_numbers_of_all_configs_are_looked_at():
    assert len(NUMBERS) == 29


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, -1])
@pytest.mark.parametrize(("config", "name"), NUMBERS)
def test_a_number_that_is_not_finite_or_is_negative_is_refused_by_name(config, name, number):
    with pytest.raises(ValueError, match=rf"{name} is {number:g}"):
        with_number(config, name, number)


def test_an_unknown_decay_is_refused():
    with pytest.raises(ValueError, match="decay is 'linear'; expected constant or cosine"):
        Optimisation(steps=1, learning_rate=1e-3, decay="linear")


def test_the_largest_seed_is_one_that_every_generator_takes():
    assert ControlConfig(seed=LARGEST_SEED, data_seed=LARGEST_SEED).seed == LARGEST_SEED
    torch.manual_seed(LARGEST_SEED)
    generator(LARGEST_SEED, "noise", 0)
    np.random.Philox(key=[LARGEST_SEED * 2 + 1, 0])
    with pytest.raises(ValueError, match="data_seed is 4611686018427387904"):
        ControlConfig(data_seed=LARGEST_SEED + 1)
