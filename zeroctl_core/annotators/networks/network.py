"""What a network of an annotator is: its architecture, and the published file that fits it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from ...registry import Registry


@dataclass(frozen=True)
class Network:
    """`build()` makes it with random weights; its state dict has the keys and the shapes of the file, no others.

    `file` is the file's published name, `url` where it is published, `size` in bytes (None: not known). `licence` is
    that of the weights, in words for people.
    """

    name: str
    build: Callable[[], nn.Module]
    file: str
    url: str
    size: int | None
    licence: str


NETWORKS: Registry[Network] = Registry("network")


def network(
    name: str, *, file: str, url: str, size: int | None, licence: str
) -> Callable[[type[nn.Module]], type[nn.Module]]:
    """Decorate the class of a network whose `()` builds it: it becomes a `Network` in `NETWORKS`."""

    def add(build: type[nn.Module]) -> type[nn.Module]:
        NETWORKS.register(name)(Network(name, build, file, url, size, licence))
        return build

    return add
