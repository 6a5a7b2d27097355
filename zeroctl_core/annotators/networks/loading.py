"""Load the network of an annotator from its published file, or say what the file is instead."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ...files.checkpoint_error import checkpoint_errors
from ...files.key_faults import key_faults, named
from ...files.on_meta import on_meta
from ...files.suspects import suspect
from ...files.tfjs_file import open_tfjs_file
from ...files.values import check_values
from ...files.weight_file import CheckpointError, open_weight_file, unwrapped
from .network import NETWORKS, Network, Shapes

__all__ = ["CheckpointError", "load_network"]

DATA_PARALLEL = "module."
"""Before every key of a net that was saved while it trained on several devices."""


def load_network(name: str, path: str | os.PathLike[str], *, dtype: torch.dtype = torch.float32) -> nn.Module:
    """The network `name` of `NETWORKS` with the weights of a file, in eval mode and without gradients, on the CPU.

    .safetensors, .pth read with `weights_only`, or, for a network that is published so, the .json of TensorFlow.js with
    its .bin beside it; half precision files become `dtype` like all others. The file is read and then free: what
    happens to it later changes nothing. Nothing is searched for or downloaded.

    Raises `KeyError` for a name that is not known, `FileNotFoundError` for a missing file, `CheckpointError` for
    whatever else is wrong with it: which keys, what was expected, and what the file seems to be.
    """
    network = NETWORKS[name]
    try:
        weights = _weights(network, Path(path))
        with checkpoint_errors(Path(path), f"read as the network {name!r}"):
            _check(network, str(path), weights)
            check_values(Path(path), weights, lambda key: False)
            with on_meta():
                net = network.build()
            net.load_state_dict(weights, assign=True)
    except CheckpointError as error:
        if str(path) in str(error):
            raise
        raise CheckpointError(f"{error} ({path})") from error  # several files may have the name
    return net.to(dtype).requires_grad_(False).eval()


def _weights(network: Network, path: Path) -> dict[str, Tensor]:
    """Key -> tensor of a file, by the network's names."""
    if network.from_graph is not None and path.suffix == ".json":
        tensors = open_tfjs_file(path)
        with checkpoint_errors(path, f"read as the network {network.name!r}"):
            return network.from_graph(tensors)
    file = open_weight_file(path, mapped=False)
    return {key.removeprefix(DATA_PARALLEL): tensor for key, tensor in unwrapped(file).items()}


def fitting(shapes: Mapping[str, tuple[int, ...]]) -> list[Network]:
    """The networks whose keys and shapes are exactly these."""
    return [network for network in NETWORKS.values() if network.shapes() == shapes]


def _check(network: Network, file: str, weights: Mapping[str, Tensor]) -> None:
    """Refuse a file that lacks a key, has another one, one in another shape, or one that is quantised."""
    expected = network.shapes()
    shapes = {key: tuple(tensor.shape) for key, tensor in weights.items()}
    faults = key_faults(expected, shapes)
    if faults:
        raise CheckpointError(
            f"{file} does not fit the network {network.name!r}: {'; '.join(faults)}. {_seems(shapes)}. "
            f"Expected is {network.file} from {network.url}"
        )
    integers = [f"{key} in {weights[key].dtype}" for key in expected if _is_quantised(key, weights[key])]
    if integers:
        raise CheckpointError(
            f"{file} holds quantised weights ({named(integers)}), which {network.name!r} cannot compute with; "
            f"expected floats, as in {network.file} from {network.url}"
        )


def _seems(shapes: Shapes) -> str:
    """What a file seems to be, as a sentence."""
    if not shapes:
        return "It holds no tensors"
    if same := fitting(shapes):
        return f"It fits the network {' and '.join(repr(network.name) for network in same)}"
    if any("zero_convs." in key or "controlnet_down_blocks." in key for key in shapes):
        return "It seems to be a ControlNet, which an annotator makes the condition for; load it as the ControlNet"
    if (kind := suspect(shapes)) is not None:
        return f"It seems to be {kind.title}"
    nearest = max(NETWORKS.values(), key=lambda network: _share(network.shapes(), shapes))
    if _share(nearest.shapes(), shapes) > 0.5:
        return f"It looks most like the network {nearest.name!r}, damaged or of another version"
    return f"It is none of the networks {', '.join(NETWORKS)}"


def _share(expected: Shapes, shapes: Shapes) -> float:
    """How much two tables have in common: 1 for the same, 0 for nothing."""
    return len(expected.items() & shapes.items()) / len(expected.keys() | shapes.keys())


def _is_quantised(key: str, tensor: Tensor) -> bool:
    return not tensor.is_floating_point() and not key.endswith("num_batches_tracked")
