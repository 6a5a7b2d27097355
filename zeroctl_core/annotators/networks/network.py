"""What a network of an annotator is: its architecture, and the published file that fits it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from ...registry import Registry

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class Network:
    """`build()` makes it with random weights; its state dict has the keys and the shapes of the file, no others.

    Most are maps from picture to picture, `net(image [B, 3, h, w] in 0..1) -> [B, 1, h, w] in 0..1`, in the dtype and
    on the device of their weights; what the published net was fed (0..255, -1..1, grey) is made inside. The class says
    as `multiple` what h and w have to be multiples of, and refuses others.

    `file` is the file's published name, `url` where it is published, `size` about how many bytes it has, `sha256` the
    hash of its content where that is known. `licence` is that of the weights, in words for people.
    """

    name: str
    build: Callable[[], nn.Module]
    file: str
    url: str
    size: int
    licence: str
    sha256: str | None = None

    def shapes(self) -> Shapes:
        """Key -> shape of its state dict; no memory is taken for the weights."""
        return dict(_shapes(self.build))


@cache
def _shapes(build: Callable[[], nn.Module]) -> Shapes:
    with torch.device("meta"):
        return {key: tuple(tensor.shape) for key, tensor in build().state_dict().items()}


NETWORKS: Registry[Network] = Registry("network")


def network(
    name: str, *, file: str, url: str, size: int, licence: str, sha256: str | None = None
) -> Callable[[type[nn.Module]], type[nn.Module]]:
    """Decorate the class of a network whose `()` builds it: it becomes a `Network` in `NETWORKS`.

    The hashes of the files in lllyasviel/Annotators are those of its revision 982e7ed. Source of all hashes:
    tools/gen_line_edge_goldens.py of Kosinkadink/Dinkster (commit 4258cb5), whose reference files must have them.
    """

    def add(build: type[nn.Module]) -> type[nn.Module]:
        entry = Network(name=name, build=build, file=file, url=url, size=size, licence=licence, sha256=sha256)
        NETWORKS.register(name)(entry)
        return build

    return add


def check_size(owner: str, image: Tensor, multiple: int) -> None:
    """Raises `ValueError` for a height or width that is not a multiple: the net's levels would not meet again."""
    height, width = image.shape[2:]
    if height % multiple or width % multiple:
        raise ValueError(
            f"{owner}: an image is {height} x {width}; both must be multiples of {multiple}: pad it and crop the map"
        )
