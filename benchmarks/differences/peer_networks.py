"""The peers' networks with the weights of ours."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from types import ModuleType

import torch

from benchmarks.differences.ours import our_net

Build = Callable[[ModuleType], torch.nn.Module]
"""From a peer's module to its network."""


def filled(net: torch.nn.Module, name: str) -> torch.nn.Module:
    """A peer's network with the weights of ours."""
    net.load_state_dict(our_net(name).state_dict())
    return net.eval().requires_grad_(False)


def net_of(package: Callable[[str], ModuleType], module: str, build: Build, net: str) -> Callable[[], torch.nn.Module]:
    """A peer's network, built and filled when the row is run."""
    return lambda: filled(build(package(module)), net)


def with_parts(name: str, attributes: Mapping[str, tuple[Build, str]]) -> Callable[[ModuleType], None]:
    """Give a released demo its detector `name`, made without its files of weights."""

    def prepare(demo_module: ModuleType) -> None:
        kind = getattr(demo_module, name)
        detector = kind.__new__(kind)
        package = sys.modules[kind.__module__]
        for key, (build, net) in attributes.items():
            setattr(detector, key, filled(build(package), net))
        demo_module.__dict__["preprocessor"] = detector

    return prepare


def hed(package: ModuleType) -> torch.nn.Module:
    net: torch.nn.Module = package.ControlNetHED_Apache2()
    return net


def drawing(package: ModuleType) -> torch.nn.Module:
    net: torch.nn.Module = package.Generator(3, 1, 3)
    return net


def anime(package: ModuleType) -> torch.nn.Module:
    norm = functools.partial(torch.nn.InstanceNorm2d, affine=False, track_running_stats=False)
    net: torch.nn.Module = package.UnetGenerator(3, 1, 8, 64, norm_layer=norm, use_dropout=False)
    return net


def mlsd(package: ModuleType) -> torch.nn.Module:
    net: torch.nn.Module = package.MobileV2_MLSD_Large()
    return net
