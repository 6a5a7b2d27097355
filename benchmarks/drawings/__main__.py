"""Drawings of one's own: twelve outlines that no training saw, drawn in six ways, read and followed as the demo's
command does it.

`following` is (F1 - floor) / (ceiling - floor): F1 of the Canny edges of the sample and the outline within 2 pixels;
floor: the same seeds and prompts without control; ceiling: a red thing of that outline on white, after the
autoencoder. Writes `drawings.json`, and `drawings.png` with every outline.
"""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.drawings.outlines import OUTLINES, WAYS, truth
from benchmarks.machine import RESULTS, conditions, write
from benchmarks.options import read_options
from zeroctl_core.annotators.canny import canny
from zeroctl_core.annotators.pictures.sheet import Tile, write_sheet
from zeroctl_core.demo.__main__ import WAYS as BRANCHES
from zeroctl_core.demo.drawing import read_drawing
from zeroctl_core.demo.following import background_colour, colour_names, edge_f1, object_colour, object_mask, outline
from zeroctl_core.demo.model import WEIGHTS
from zeroctl_core.demo.showing import Demo
from zeroctl_core.demo.world import COLOURS
from zeroctl_core.train.memory import keep_memory

PLAIN = "white on black"
PROMPT = "a red thing on a white background"
BOUNDS = {"": (0.90, 0.70), PROMPT: (0.85, 0.0)}  # median and worst following that is aimed at
RIGHT = 0.9  # share of samples with the prompt's colours that is aimed at


@dataclasses.dataclass(frozen=True)
class Options:
    seeds: tuple[int, ...] = (0, 1, 2)
    """of the noise; ways other than white on black take the first"""
    control: str = "edges"
    """edges or edges_paper"""
    weights: Path = WEIGHTS
    """folder of the embedded model"""
    out: Path = RESULTS
    """folder for the record and the sheet"""


class Trial:
    """The embedded model, the true lines, and the two ends of the scale."""

    def __init__(self, options: Options) -> None:
        self.options, self.demo = options, Demo(options.weights, 0)
        sheets = [np.asarray(truth(points), dtype=np.float32) / 255 for points in OUTLINES.values()]
        inside = torch.from_numpy(np.stack(sheets))[:, None]
        self.lines = outline(inside[:, 0] > 0.5)
        red, white = (torch.tensor(COLOURS[name])[:, None, None] for name in ("red", "white"))
        autoencoder = self.demo.model.autoencoder
        with torch.no_grad():
            pictures = autoencoder.decode(autoencoder.encode(white + (red - white) * inside)).clamp(0, 1)
        self.ceiling = self.f1(pictures)
        self.floors: dict[tuple[int, str], Tensor] = {}

    def f1(self, pictures: Tensor) -> Tensor:
        return edge_f1(canny(pictures)[:, 0] > 0.5, self.lines)

    def conditions(self, way: str, folder: Path) -> Tensor:
        """All outlines as the command reads them, [12, 3, 128, 128]."""
        rows = []
        for name, points in OUTLINES.items():
            path = folder / f"{name}.png"
            WAYS[way](points).save(path)
            rows.append(read_drawing(path, self.options.control).condition)
        return torch.cat(rows)

    def samples(self, seed: int, prompt: str, drawings: Tensor | None = None) -> Tensor:
        """One sample of every outline, from the noise of 12 seeds."""
        self.demo.seed = seed * len(OUTLINES)
        units = [] if drawings is None else [self.demo.unit(self.options.control, drawings, *BRANCHES["cond"])]
        return self.demo.samples(units, [prompt] * len(OUTLINES))

    def following(self, seed: int, prompt: str, pictures: Tensor) -> Tensor:
        if (seed, prompt) not in self.floors:
            self.floors[seed, prompt] = self.f1(self.samples(seed, prompt))
        floor = self.floors[seed, prompt]
        return (self.f1(pictures) - floor) / (self.ceiling - floor)


def figures(following: Tensor, f1: Tensor, pictures: Tensor) -> dict[str, float]:
    """[n] each, n pictures -> the median and the worst, and what a control may have ruined."""
    saturated = ((pictures < 0.02) | (pictures > 0.98)).float().mean()
    return {
        "following_median": round(float(following.median()), 3),
        "following_worst": round(float(following.min()), 3),
        "f1_median": round(float(f1.median()), 3),
        "f1_worst": round(float(f1.min()), 3),
        "saturated": round(float(saturated), 4),
    }


def right_colours(pictures: Tensor) -> float:
    """Share with a red thing on a white ground."""
    things = colour_names(object_colour(pictures, object_mask(pictures)))
    grounds = colour_names(background_colour(pictures))
    return statistics.mean(pair == ("red", "white") for pair in zip(things, grounds, strict=True))


def main() -> None:
    options = read_options(Options, "drawings", __doc__)
    keep_memory()
    facts = conditions()
    trial = Trial(options)
    read, followed, rows = {}, {}, []
    with tempfile.TemporaryDirectory() as folder:
        drawings = {way: trial.conditions(way, Path(folder)) for way in WAYS}
    for way, images in drawings.items():
        scores = edge_f1(images[:, 0] > 0.5, trial.lines)
        read[way] = {"f1_median": round(float(scores.median()), 3), "f1_worst": round(float(scores.min()), 3)}
    sheet: list[Tensor] = []
    for prompt in BOUNDS:
        seeds = options.seeds
        pictures = [trial.samples(seed, prompt, drawings[PLAIN]) for seed in seeds]
        scores = [trial.following(seed, prompt, some) for seed, some in zip(seeds, pictures, strict=True)]
        everything = torch.cat(pictures)
        f1 = torch.cat([trial.f1(some) for some in pictures])
        name = prompt or "no prompt"
        followed[name] = figures(torch.cat(scores), f1, everything)
        followed[name]["right_colours"] = round(right_colours(everything), 3)
        means = [float(some.mean()) for some in scores]
        followed[name]["standard_error_over_seeds"] = (
            round(statistics.stdev(means) / len(means) ** 0.5, 3) if len(means) > 1 else float("nan")
        )
        sheet += [pictures[0], scores[0]]
        print(f"{name}: {followed[name]}", flush=True)
    by_way = {}
    for way, images in drawings.items():
        if way != PLAIN:
            pictures_of_way = trial.samples(options.seeds[0], "", images)
            score = trial.following(options.seeds[0], "", pictures_of_way)
            by_way[way] = figures(score, trial.f1(pictures_of_way), pictures_of_way)
            print(f"{way}: {by_way[way]}", flush=True)
    free, free_scores, prompted, prompted_scores = sheet
    for start in (0, 6):
        tiles = []
        for n in range(start, start + 6):
            tiles.append(Tile(drawings[PLAIN][0 * n + n], list(OUTLINES)[n]))
        rows.append(("twelve outlines that no training saw" if not start else "", tiles))
        rows.append(("no prompt", [Tile(free[n], f"following {free_scores[n]:.2f}") for n in range(start, start + 6)]))
        labels = [f"following {prompted_scores[n]:.2f}" for n in range(start, start + 6)]
        rows.append((f'"{PROMPT}"', [Tile(prompted[start + k], label) for k, label in enumerate(labels)]))
    print(write_sheet(options.out / "drawings.png", rows, scale=1))
    bounds = {
        prompt or "no prompt": {"median": median, "worst": worst} for prompt, (median, worst) in BOUNDS.items()
    } | {"right_colours": RIGHT}
    write(
        options.out / "drawings.json",
        {
            **facts,
            "seeds": options.seeds,
            "control": options.control,
            "ceiling_f1": round(float(trial.ceiling.mean()), 3),
            "floor_f1": {
                f"{p or 'no prompt'}, seed {s}": round(float(f.mean()), 3) for (s, p), f in trial.floors.items()
            },
            "lines_as_read": read,
            "followed": followed,
            "followed_by_way": by_way,
            "aimed_at": bounds,
        },
    )


if __name__ == "__main__":
    main()
