"""Tile, shuffle, `color`, luminance and blur: what the colours of a picture are made into."""

from __future__ import annotations

import cv2
import numpy as np

from benchmarks.differences.detectors import aux_detector, hf_detector
from benchmarks.differences.levels import Levels, Run
from benchmarks.differences.peers import aux
from benchmarks.differences.pictures import photos
from benchmarks.differences.releases import demo, released
from benchmarks.differences.row import Row, row


def after_seed(seed: int, run: Run) -> Run:
    def seeded(picture: Levels) -> Levels:
        np.random.seed(seed)
        return run(picture)

    return seeded


def rows() -> list[Row]:
    exchanged = "ours: aux hands RGB to COLOR_BGR2LAB, so that red and blue are exchanged; peer_compat is its choice"
    as_aux: Run = aux_detector("recolor", "Recolorizer", mode="luminance", gamma_correction=1.0)
    return [
        row(
            "tile, resize",
            "tile",
            "cn11",
            file="gradio_tile.py",
            theirs=demo("cn11", "gradio_tile"),
            pictures=photos(),
            mode="resize",
        ),
        row(
            "tile, pyramid",
            "tile",
            "cn11",
            file="annotator/shuffle, DownSampleDetector without noise",
            theirs=lambda picture: np.asarray(
                released("cn11", "shuffle").DownSampleDetector()(picture, level=3, k=0.0)
            ),
            pictures=photos(),
            why="both: ours rounds to 8 bits at each level, the release cuts once at the end; no released demo uses it "
            "(gradio_tile.py hands the picture on)",
            mode="pyramid",
            downscale=8.0,
        ),
        row(
            "tile, pyramid",
            "tile",
            "aux",
            file="tile",
            theirs=lambda picture: np.asarray(aux("tile").TileDetector()(picture, pyrUp_iters=3, output_type="np")),
            pictures=photos(),
            why="ours: aux shrinks by AREA and enlarges by pyrUp, which moves the picture 3 pixels up and left; the "
            "pyramid of the released annotator/shuffle stays in place",
            mode="pyramid",
            downscale=8.0,
        ),
        row(
            "shuffle",
            "shuffle",
            "cn11",
            file="gradio_shuffle.py",
            theirs=demo("cn11", "gradio_shuffle", det="Shuffle", seed=1),
            pictures=photos(),
            why="ours keeps the fractions that the released annotator/shuffle rounds to 8 bits, where it falls on a "
            "half",
            seed=1,
            f=256,
        ),
        row(
            "shuffle",
            "shuffle",
            "aux",
            file="shuffle",
            theirs=aux_detector("shuffle", "ContentShuffleDetector", seed=1),
            pictures=photos(),
            why="ours: gradio_shuffle.py draws after numpy.random.seed(seed); aux draws from "
            "numpy.random.default_rng, and takes seed 0 for none",
            seed=1,
            f=256,
        ),
        row(
            "shuffle",
            "shuffle",
            "hf",
            file="shuffle, after numpy.random.seed(1)",
            theirs=after_seed(1, hf_detector("shuffle", "ContentShuffleDetector")),
            pictures=photos(),
            why="as for the release: fractions, rounded where they fall on a half",
            seed=1,
            f=256,
        ),
        row(
            "color",
            "color",
            "aux",
            file="color",
            theirs=aux_detector("color", "ColorDetector"),
            pictures=photos(),
            why="rounding in OpenCV's cubic, one level",
            grid=64,
        ),
        row(
            "luminance",
            "luminance",
            "aux",
            file="recolor",
            theirs=as_aux,
            pictures=photos(),
            why=exchanged,
            mode="L",
            peer_compat=False,
        ),
        row(
            "luminance, as aux",
            "luminance",
            "aux",
            file="recolor",
            theirs=as_aux,
            pictures=photos(),
            mode="L",
            peer_compat=True,
        ),
        row(
            "luminance, intensity, as aux",
            "luminance",
            "aux",
            file="recolor",
            theirs=aux_detector("recolor", "Recolorizer", mode="intensity", gamma_correction=0.7),
            pictures=photos(),
            mode="V",
            gamma=0.7,
            peer_compat=True,
        ),
        row(
            "blur",
            "blur",
            "opencv",
            file="GaussianBlur, as sd-webui-controlnet's blur_gaussian calls it; the other peers have no blur",
            theirs=lambda picture: np.asarray(cv2.GaussianBlur(picture, (0, 0), 9.0)),
            pictures=photos(),
            sigma=9.0,
        ),
    ]
