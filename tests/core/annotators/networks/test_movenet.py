"""MoveNet's network, published names and decoding, with random weights; test_movenet_real.py has trained ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from random_weights import random_state_dict
from tfjs_graph import write_tfjs
from torch import Tensor

from zeroctl_core.annotators.networks import NETWORKS
from zeroctl_core.annotators.networks.loading import CheckpointError, load_network
from zeroctl_core.annotators.networks.movenet_decoding import FALLOFF, decode_people
from zeroctl_core.annotators.networks.movenet_graph import GRAPH, HALVES, HEADS, NUMBERS, published_names

NAMES = dict(published_names())
HEIGHT, WIDTH = 24, 32
SURE = 6.0


def graph_of(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights as the published graph has them, with its numbers and some of its indices."""
    tensors = {}
    for key, weight in weights.items():
        if weight.ndim == 4:
            weight = weight.permute((2, 3, 0, 1) if "depthwise" in key else (2, 3, 1, 0))
        tensors[NAMES[key]] = weight.contiguous()
    for number, names in NUMBERS.items():
        tensors |= {f"{GRAPH}{name}": torch.tensor(number) for name in names}
    tensors |= {name: torch.tensor(0.5) for name in HALVES}
    tensors[f"{GRAPH}TopKV2/k"] = torch.tensor(6, dtype=torch.int32)
    return tensors


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    return random_state_dict(NETWORKS["movenet_multipose"].shapes(), spread=0.1)


def written(folder: Path, tensors: dict[str, Tensor]) -> Path:
    return write_tfjs(folder / NETWORKS["movenet_multipose"].file, tensors)


def test_loads_the_published_form(weights, tmp_path) -> None:
    net = load_network("movenet_multipose", written(tmp_path, graph_of(weights)))
    state = net.state_dict()
    assert state.keys() == weights.keys() and not any(weight.requires_grad for weight in net.parameters())
    for key, weight in weights.items():
        assert state[key].dtype == torch.float32 and state[key].equal(weight.half().float())


def test_the_graph_has_every_weight_once(weights) -> None:
    assert NAMES.keys() == weights.keys() and len(set(NAMES.values())) == len(NAMES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop(NAMES["blocks.3.expand.bias"]), r"1 key missing \(blocks.3.expand.bias\)"),
        (lambda t: t.update(other=torch.ones(3)), r"1 key too many \(other\)"),
        (lambda t: t.update({NAMES["stem.bias"]: torch.ones(40)}), r"stem.bias \[40\] instead of \[48\]"),
        (lambda t: t[NAMES["last.weight"]].fill_(float("nan")), "has NaN or infinite numbers"),
        (lambda t: t[f"{GRAPH}mul_6/y"].fill_(0.5), "mul_6/y is 0.5 instead of 0.3: another version"),
        (lambda t: t.clear(), "lists no weights"),
    ],
)
def test_another_graph_is_refused_by_name(weights, tmp_path, change, message) -> None:
    tensors = graph_of({key: weight.clone() for key, weight in weights.items()})
    change(tensors)
    with pytest.raises(CheckpointError, match=message) as error:
        load_network("movenet_multipose", written(tmp_path, tensors))
    assert str(tmp_path) in str(error.value)


def test_the_json_alone_names_what_belongs_beside_it(weights, tmp_path) -> None:
    path = written(tmp_path, graph_of(weights))
    path.with_suffix(".bin").unlink()
    with pytest.raises(CheckpointError, match="names the file movenet-multipose.bin, which is not beside it"):
        load_network("movenet_multipose", path)


def test_the_bytes_alone_are_not_a_file_of_weights(weights, tmp_path) -> None:
    path = written(tmp_path, graph_of(weights)).with_suffix(".bin")
    with pytest.raises(CheckpointError, match="is not a file of weights"):
        load_network("movenet_multipose", path)


def test_a_batch_equals_its_pictures(seeded_net) -> None:
    net, images = seeded_net("movenet_multipose"), torch.rand(3, 3, 64, 96)
    together = net(images)
    assert together.shape == (3, sum(HEADS.values()), 16, 24)
    assert torch.allclose(together, torch.cat([net(image[None]) for image in images]), atol=1e-4)


# ---- decoding


def maps_of(*people: tuple[int, int, float]) -> Tensor:
    """Maps on which a person stands at each row and column, with a centre of this logit.

    The box is 8 x 10 cells. Point k lies k cells / 4 right of the centre, on the row below it, moved by an offset.
    """
    heads = {name: torch.zeros(count, HEIGHT, WIDTH) for name, count in HEADS.items()}
    heads["center"].fill_(-20)
    heads["kpt_heatmap"].fill_(-20)
    for row, column, logit in people:
        heads["center"][0, row, column] = logit
        heads["box_scale"][:, row, column] = torch.tensor([8.0, 10.0])
        heads["box_offset"][:, row, column] = torch.tensor([0.5, 0.25])
        for point in range(17):
            right = point // 4
            heads["kpt_regress"][2 * point : 2 * point + 2, row, column] = torch.tensor([1.0, right])
            heads["kpt_heatmap"][point, row + 1, column + right] = SURE
            heads["kpt_offset"][2 * point : 2 * point + 2, row + 1, column + right] = torch.tensor([0.5, -0.25])
    return torch.cat(list(heads.values()))[None]


def test_a_person_is_where_its_maps_say() -> None:
    points, boxes = decode_people(maps_of((10, 12, SURE)))
    assert points.shape == (1, 6, 17, 3) and boxes.shape == (1, 6, 5)
    cells = points[0, 0, :, :2] * torch.tensor([WIDTH, HEIGHT])
    expected = torch.tensor([[12 + point // 4 - 0.25, 11.5] for point in range(17)])
    assert torch.allclose(cells, expected, atol=1e-4)
    certain = torch.tensor(SURE).sigmoid()
    assert torch.allclose(points[0, 0, :, 2], certain, atol=1e-5)
    x0, y0, x1, y1, score = boxes[0, 0]
    assert torch.allclose(
        torch.stack([x0 * WIDTH, y0 * HEIGHT, x1 * WIDTH, y1 * HEIGHT]), torch.tensor([7.25, 6.5, 17.25, 14.5])
    )
    assert score == pytest.approx(float(certain) ** 2, abs=1e-4) and boxes[0, 1:, 4].max() < 1e-6


def test_people_come_by_their_centres_and_a_batch_equals_its_pictures() -> None:
    maps = [maps_of((6, 6, 1.0), (16, 22, 3.0)), maps_of((10, 12, SURE))]
    points, boxes = decode_people(torch.cat(maps))
    assert points[0, 0, 0, 0] * WIDTH == pytest.approx(21.75, abs=1e-3)
    assert points[0, 1, 0, 0] * WIDTH == pytest.approx(5.75, abs=1e-3)
    for row, single in enumerate(maps):
        alone = decode_people(single)
        assert points[row].equal(alone[0][0]) and boxes[row].equal(alone[1][0])


def test_a_centre_beside_a_higher_one_is_nobody() -> None:
    _, boxes = decode_people(maps_of((10, 12, 3.0), (11, 14, 2.0)))
    assert (boxes[0, :, 4] > 0.1).sum() == 1


def test_of_equal_centres_the_first_comes_first() -> None:
    points, _ = decode_people(maps_of((16, 22, 2.0), (6, 6, 2.0)))
    assert points[0, 0, 0, 0] * WIDTH == pytest.approx(5.75, abs=1e-3)


def test_a_hotter_point_outside_the_box_or_far_away_is_of_somebody_else() -> None:
    maps = maps_of((10, 12, SURE))
    heat = maps[:, 5 : 5 + 17]
    heat[0, 0, 11, 20] = 20.0  # column 20 is beyond the box, which ends at 17.25
    heat[0, 1, 14, 17] = 20.0  # inside, but 5 cells from where the centre expects it
    assert (25 + 9) / (FALLOFF * HEIGHT) > 4
    points, _ = decode_people(maps)
    assert torch.allclose(points[0, 0, :2, :2] * torch.tensor([WIDTH, HEIGHT]), torch.tensor([[11.75, 11.5]] * 2))


def test_unsure_points_do_not_count_for_a_person() -> None:
    maps = maps_of((10, 12, SURE))
    _, boxes = decode_people(maps)
    maps[0, 5 + 3 : 5 + 17] = -3.0  # sigmoid .047
    _, fewer = decode_people(maps)
    assert fewer[0, 0, 4] == pytest.approx(float(boxes[0, 0, 4]), abs=1e-5)


def test_a_box_ends_at_the_picture() -> None:
    _, boxes = decode_people(maps_of((1, 27, SURE)))
    assert boxes[..., :4].amin() >= 0 and boxes[..., :4].amax() <= 1
    assert boxes[0, 0, 1] == 0 and boxes[0, 0, 2] == 1


def test_nobody_is_six_centres_without_a_score() -> None:
    points, boxes = decode_people(maps_of())
    assert boxes[0, :, 4].max() < 1e-6 and points[..., 2].max() < 1e-6 and bool(points.isfinite().all())
