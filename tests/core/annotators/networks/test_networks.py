"""Networks of annotators: published keys, the values of the published architectures, and files that do not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from skimage import data
from torch import nn

from zeroctl_core.annotators.networks import NETWORKS
from zeroctl_core.annotators.networks.loading import CheckpointError, fitting, load_network

KEYS = json.loads((Path(__file__).parents[3] / "data" / "annotator_keys.json").read_text())
"""File -> key -> shape of the published files."""

MAPS = ["hed", "lineart_realistic", "lineart_coarse", "lineart_anime", "lineart_manga", "teed", "mteed"]

# The published classes (custom_controlnet_aux of Fannovel16/comfyui_controlnet_aux) with the weights of seeded_net on
# the picture of `photo`, at 16 places of a grid.
GOLDEN = {
    "hed": [
        [0.97521, 0.97605, 0.96424, 0.96595],
        [0.92764, 0.90684, 0.90338, 0.60196],
        [0.92384, 0.98992, 0.98531, 0.92238],
        [0.98784, 0.94821, 0.9582, 0.59414],
    ],
    "lineart_realistic": [
        [0.65141, 0.60542, 0.42506, 0.6857],
        [0.54372, 0.62627, 0.73907, 0.63197],
        [0.40246, 0.68467, 0.29159, 0.43872],
        [0.80547, 0.34355, 0.59042, 0.71619],
    ],
    "lineart_anime": [
        [0.09767, 0.23815, 0.24448, 0.23869],
        [0.26523, 0.65552, 0.15576, 0.04816],
        [0.08819, 0.38498, 0.12568, 0.08511],
        [0.56035, 0.05128, 0.17801, 0.80225],
    ],
    "lineart_manga": [
        [0.44706, 0.53113, 0.58761, 0.55606],
        [0.35247, 0.31854, 0.33156, 0.42868],
        [0.40394, 0.43023, 0.44056, 0.35391],
        [0.40561, 0.34174, 0.25169, 0.32663],
    ],
    "teed": [
        [0.51292, 0.56824, 0.5298, 0.50762],
        [0.5066, 0.50721, 0.51691, 0.51573],
        [0.52398, 0.50686, 0.50692, 0.52133],
        [0.51081, 0.51001, 0.50766, 0.52131],
    ],
}
# deep and without norms that tame it: 1e-7 more or less in the picture is 1e-4 in the map
TOLERANCE = {"lineart_manga": 2e-3}


def photo(height: int, width: int) -> torch.Tensor:
    picture = data.astronaut()[20 : 20 + height, 150 : 150 + width]
    return torch.from_numpy(picture.copy()).movedim(-1, 0)[None].float() / 255


@pytest.mark.parametrize("name", NETWORKS)
def test_has_the_keys_and_shapes_of_its_file(name):
    published = {key: tuple(shape) for key, shape in KEYS[NETWORKS[name].file].items()}
    if (from_graph := NETWORKS[name].from_graph) is not None:
        weights = from_graph({key: torch.zeros(shape) for key, shape in published.items()})
        published = {key: tuple(tensor.shape) for key, tensor in weights.items()}
    assert NETWORKS[name].shapes() == published
    assert name in [network.name for network in fitting(published)]


@pytest.mark.parametrize("name", NETWORKS)
def test_says_where_its_file_is_and_under_which_licence(name):
    network = NETWORKS[name]
    assert network.name == name and network.licence
    for published in network.files:
        assert published.url.startswith("https://") and published.url.endswith("/" + published.file)


@pytest.mark.parametrize("name", GOLDEN)
def test_draws_what_the_published_architecture_draws(name, seeded_net):
    height, width = (256, 256) if name == "lineart_anime" else (96, 128)
    output = seeded_net(name)(photo(height, width))
    assert output.shape == (1, 1, height, width)
    grid = output[0, 0, height // 8 :: height // 4, width // 8 :: width // 4]
    assert torch.allclose(grid, torch.tensor(GOLDEN[name]), rtol=0, atol=TOLERANCE.get(name, 1e-4))


@pytest.mark.parametrize("name", MAPS)
def test_refuses_sizes_that_its_levels_cannot_halve(name, seeded_net):
    with pytest.raises(ValueError, match="30 x 33; both must be multiples of"):
        seeded_net(name)(torch.zeros(1, 3, 30, 33))


@pytest.mark.parametrize("name", [name for name in NETWORKS if hasattr(NETWORKS[name].build, "multiple")])
def test_takes_the_multiple_that_it_names_and_refuses_the_half(name, seeded_net):
    net = seeded_net(name)
    side = net.multiple
    assert bool(net(torch.full((1, 3, side, 2 * side), 0.5)).isfinite().all())
    with pytest.raises(ValueError, match=f"both must be multiples of {side}"):
        net(torch.zeros(1, 3, side, side // 2))


@pytest.mark.parametrize("name", ["hed", "teed"])
def test_draws_in_the_type_of_its_weights(name, seeded_state, tmp_path):
    save_file(seeded_state(name), tmp_path / "net.safetensors")
    net = load_network(name, tmp_path / "net.safetensors", dtype=torch.bfloat16)
    assert net(photo(16, 16)).dtype == torch.bfloat16


@pytest.mark.parametrize("name", NETWORKS)
def test_loads_its_file(name, seeded_state, tmp_path):
    """Half precision and saved while training in parallel, as some published files are."""
    state = {f"module.{key}": t.half() if t.is_floating_point() else t for key, t in seeded_state(name).items()}
    path = tmp_path / Path(NETWORKS[name].file).with_suffix(".pth")
    torch.save(state, path)
    net = load_network(name, path)
    assert not net.training and not any(weight.requires_grad for weight in net.parameters())
    tensors = net.state_dict()
    assert all(tensors[key.removeprefix("module.")].equal(value.to(torch.float32)) for key, value in state.items())
    assert {tensor.dtype for tensor in tensors.values()} <= {torch.float32, torch.int64}


def test_loads_safetensors_and_wrapped_state_dicts(seeded_state, tmp_path):
    state = seeded_state("teed")
    save_file(state, tmp_path / "teed.safetensors")
    torch.save({"state_dict": state, "epoch": 7}, tmp_path / "teed.pth")
    for file in ("teed.safetensors", "teed.pth"):
        assert (
            load_network("teed", tmp_path / file)
            .state_dict()["block_1.conv1.weight"]
            .equal(state["block_1.conv1.weight"])
        )


def test_names_the_network_that_a_file_fits(seeded_state, tmp_path):
    torch.save(seeded_state("teed"), tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match=r"net.pth does not fit the network 'hed': 37 keys missing") as e:
        load_network("hed", tmp_path / "net.pth")
    assert "norm, block1.convs.0.weight" in str(e.value) and "36 keys too many (block_1.conv1" in str(e.value)
    assert "It fits the network 'mteed' and 'teed'. Expected is ControlNetHED.pth from https://" in str(e.value)


def test_names_missing_and_reshaped_keys(seeded_state, tmp_path):
    state = seeded_state("teed")
    del state["side_1.conv.bias"]
    state["block_1.conv1.weight"] = state["block_1.conv1.weight"][:, :1].clone()
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match=r"1 key missing \(side_1.conv.bias\)") as error:
        load_network("teed", tmp_path / "net.pth")
    assert "block_1.conv1.weight [16, 1, 3, 3] instead of [16, 3, 3, 3]" in str(error.value)
    assert "most like the network" in str(error.value) and "teed'" in str(error.value)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"zero_convs.0.0.weight": torch.zeros(1)}, "seems to be a ControlNet"),
        ({"lora_unet_x.lora_down.weight": torch.zeros(1)}, "seems to be a LoRA"),
        ({"what.weight": torch.zeros(1)}, "none of the networks .*hed"),
        ({}, "holds no tensors"),
    ],
)
def test_says_what_else_a_file_seems_to_be(state, message, tmp_path):
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=message):
        load_network("hed", tmp_path / "x.pth")


def test_refuses_quantised_weights(seeded_state, tmp_path):
    torch.save({**seeded_state("teed"), "side_1.conv.bias": torch.zeros(32, dtype=torch.int8)}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=r"quantised weights \(side_1.conv.bias in torch.int8\)"):
        load_network("teed", tmp_path / "x.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"", "is empty"),
        (b"PK\x03\x04 cut off", "cut off or damaged"),
    ],
)
def test_refuses_what_is_no_file_of_weights(content, message, tmp_path):
    (tmp_path / "ControlNetHED.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        load_network("hed", tmp_path / "ControlNetHED.pth")


def test_refuses_a_pickle_of_more_than_weights(tmp_path):
    torch.save(nn.Conv2d(3, 3, 1), tmp_path / "ControlNetHED.pth")
    with pytest.raises(CheckpointError, match="could run code when opened, so it is refused"):
        load_network("hed", tmp_path / "ControlNetHED.pth")


def test_missing_files_and_unknown_names_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="ControlNetHED.pth does not exist"):
        load_network("hed", tmp_path / "ControlNetHED.pth")
    with pytest.raises(KeyError, match="no network is called 'hedd'; known are: .*hed"):
        load_network("hedd", tmp_path / "x.pth")
