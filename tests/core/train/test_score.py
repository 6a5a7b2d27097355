"""Following is 0 by chance and 1 for the picture itself, whatever the condition."""

from __future__ import annotations

import pytest
import torch

from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.demo.model import load_control
from zeroctl_core.demo.rendering import render
from zeroctl_core.demo.scene import scenes
from zeroctl_core.demo.source import World
from zeroctl_core.train.following import Ends, following_figures
from zeroctl_core.train.score import SCORES, class_score, depth_score, lab, normal_score
from zeroctl_core.train.watching import following_text

N = 4


@pytest.fixture(scope="module")
def truth():
    return render(scenes(9, 0, N, shapes_only=True))


@pytest.mark.parametrize("name", ["canny", "scribble", "color", "blur", "luminance", "tile", "lineart"])
def test_a_map_scores_best_against_itself_and_less_against_another(name, truth):
    maps = ANNOTATORS[name](truth.image)
    own, other = SCORES[name](maps, maps), SCORES[name](maps, maps.roll(1, dims=0))
    assert own.shape == (N,) and torch.allclose(own, torch.ones(N), atol=1e-4)
    assert float(other.mean()) < float(own.mean()) - 0.05


def test_depth_is_relative_normals_are_directions_and_classes_are_colours():
    depth = torch.rand(2, 1, 8, 8).expand(-1, 3, -1, -1)
    assert torch.allclose(depth_score(0.3 * depth + 0.2, depth), torch.ones(2), atol=1e-5)
    assert bool((depth_score(1 - depth, depth) < 0.8).all())  # near and far exchanged
    up = torch.zeros(1, 3, 4, 4)
    up[:, 1] = 1
    right = torch.tensor([1.0, 0.5, 0.5])[None, :, None, None].expand(1, 3, 4, 4)
    assert float(normal_score(right, right)) == pytest.approx(1) and float(normal_score(1 - right, right)) < -0.9
    halves = torch.zeros(1, 3, 4, 4)
    halves[..., 2:] = 1
    assert float(class_score(halves, halves)) == 1.0
    assert float(class_score(torch.zeros_like(halves), halves)) == pytest.approx(0.25)  # (1/2 + 0) / 2


def test_lab_has_the_published_values():
    colours = torch.tensor([[1.0, 1, 1], [0, 0, 0], [1, 0, 0], [0, 0, 1]]).T[None, :, None]
    expected = torch.tensor([[100.0, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20], [32.30, 79.19, -107.86]])
    assert torch.allclose(lab(colours)[0, :, 0].T, expected, atol=0.05)


def test_following_is_measured_between_chance_and_the_true_picture():
    ends = Ends(torch.tensor([0.1, 0.3]), torch.tensor([0.8, 1.0]))
    pictures = torch.full((3, 3, 8, 8), 0.5)
    burnt = pictures.clone()
    burnt[0] = 1.0
    figures = following_figures(torch.tensor([0.2, 0.55, 0.9]), torch.tensor([0.2] * 3), ends, burnt, pictures)
    assert figures["follow"] == pytest.approx(0.5) and figures["n_follow"] == 2 and figures["n_scored"] == 3
    assert figures["follow_error"] == pytest.approx(0.5 / 3**0.5)
    assert figures["saturated"] == pytest.approx(1 / 3) and figures["saturated_without"] == 0
    assert "burnt out" in following_text({"step": 0, **figures}, in_full=False)
    text = following_text({"step": 0, **figures}, in_full=True)
    assert "following 0.50 (2 of 3 samples), error 0.29: score 0.550, without control 0.200, beside another's" in text


def test_where_a_true_picture_scores_no_more_than_chance_there_is_no_score():
    ends = Ends(torch.tensor([0.9]), torch.tensor([0.92]))
    figures = following_figures(torch.ones(1), torch.ones(1), ends, torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8))
    assert set(figures) == {"saturated", "saturated_without"}


def test_a_trained_control_follows_and_the_worlds_judge_agrees():
    scores = World().score(load_control("edges"), "edges", n=2, seed=7, steps=4)
    assert scores["follow"] > 0.7 and scores["n_follow"] == 2 and scores["ground"] == 1.0
    assert scores["floor"] < 0.6 < scores["ceiling"] and scores["other"] < 0.6
    assert scores["saturated"] < scores["saturated_without"] + 0.1
