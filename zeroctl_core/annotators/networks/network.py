"""What a network of an annotator is: its architecture, and the published file that fits it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from torch import Tensor, nn

from ...files.on_meta import on_meta
from ...registry import Registry

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """A file by its published name, where it is published, about how many bytes it has, and the hash of its content."""

    file: str
    url: str
    size: int
    sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class Network(PublishedFile):
    """`build()` makes it with random weights; its state dict has the keys and the shapes of the file, no others.

    Most are maps from picture to picture, `net(image [B, 3, h, w] in 0..1) -> [B, 1, h, w] in 0..1`, in the dtype and
    on the device of their weights; what the published net was fed (0..255, -1..1, grey) is made inside. The class says
    as `multiple` what h and w have to be multiples of, and refuses others.

    `licence` is that of the weights, in words for people. `beside` are further files that belong into the folder of
    the first. Where that is a list of weights of TensorFlow.js, `from_graph` gives them the network's keys and shapes.
    """

    name: str
    build: Callable[[], nn.Module]
    licence: str
    beside: tuple[PublishedFile, ...] = ()
    from_graph: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] | None = None

    @property
    def files(self) -> tuple[PublishedFile, ...]:
        return self, *self.beside

    def shapes(self) -> Shapes:
        """Key -> shape of its state dict; no memory is taken for the weights."""
        return dict(_shapes(self.build))


@cache
def _shapes(build: Callable[[], nn.Module]) -> Shapes:
    with on_meta():
        return {key: tuple(tensor.shape) for key, tensor in build().state_dict().items()}


NETWORKS: Registry[Network] = Registry("network")


def network(name: str, **fields: Any) -> Callable[[type[nn.Module]], type[nn.Module]]:
    """Decorate the class of a network whose `()` builds it: with these fields it becomes a `Network` in `NETWORKS`.

    The hashes of the files in lllyasviel/Annotators are those of its revision 982e7ed. Source of all hashes:
    tools/gen_line_edge_goldens.py of Kosinkadink/Dinkster (commit 4258cb5), whose reference files must have them.
    """

    def add(build: type[nn.Module]) -> type[nn.Module]:
        NETWORKS.register(name)(Network(name=name, build=build, **fields))
        return build

    return add


def check_size(owner: str, image: Tensor, multiple: int) -> None:
    """Raises `ValueError` for a height or width that is not a multiple: the net's levels would not meet again."""
    height, width = image.shape[2:]
    if height % multiple or width % multiple:
        raise ValueError(
            f"{owner}: an image is {height} x {width}; both must be multiples of {multiple}: pad it and crop the map"
        )
