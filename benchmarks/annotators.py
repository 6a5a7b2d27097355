"""Annotators beside those of comfyui_controlnet_aux, and Canny beside the host's: milliseconds, and what differs.

    ZEROCTL_AUX=<comfyui_controlnet_aux> COMFYUI_PATH=<ComfyUI> <the Python of that ComfyUI> -m benchmarks.annotators

Both sides get the same IMAGE batch and give one back, at a resolution of 512 and 1024, on one thread; rounds take turns
and the shortest counts. The previews that our nodes write are not part of it. `equal` is the share of equal values at
512 after the conversion to 8 bit, in what both have; where the two disagree, `why` says who is right.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import RESULTS, checkout, conditions, write
from benchmarks.options import read_options

SIZES = (512, 1024)
BATCH = 4


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One annotator of ours, and the peer's detector for the same map."""

    ours: tuple[str, dict[str, Any]]
    module: str  # of custom_controlnet_aux
    detector: str
    arguments: dict[str, Any]
    target: float  # at most this share of the peer's time, at 512
    why: str


PAIRS = {
    "canny": Pair(
        ours=("canny", {}),
        module="canny",
        detector="CannyDetector",
        arguments={"low_threshold": 100, "high_threshold": 200},
        target=0.65,
        why="",
    ),
    "scribble, XDoG": Pair(
        ours=("scribble", {"source": "xdog"}),
        module="scribble",
        detector="ScribbleXDog_Detector",
        arguments={"thr_a": 32},
        target=0.5,
        why="",
    ),
    "scribble": Pair(
        ours=("scribble", {"polarity": "dark_on_light"}),
        module="scribble",
        detector="ScribbleDetector",
        arguments={},
        target=0.15,
        why="aux gives black lines on white, ControlNet was trained on white lines on black (gradio_scribble2image.py)",
    ),
    "lineart, standard": Pair(
        ours=("lineart", {"style": "standard"}),
        module="lineart_standard",
        detector="LineartStandardDetector",
        arguments={"guassian_sigma": 6.0, "intensity_threshold": 8},
        target=1.0,
        why="",
    ),
    "color": Pair(ours=("color", {}), module="color", detector="ColorDetector", arguments={}, target=1.0, why=""),
    "shuffle": Pair(
        ours=("shuffle", {"seed": 1}),
        module="shuffle",
        detector="ContentShuffleDetector",
        arguments={"seed": 1},
        target=1.0,
        why="another random number generator",
    ),
    "tile, pyramid": Pair(
        ours=("tile", {"mode": "pyramid"}),
        module="tile",
        detector="TileDetector",
        arguments={"pyrUp_iters": 3},
        target=1.0,
        why="aux shrinks by AREA and enlarges by pyrUp, which moves the picture 3 pixels up and left; ours stays "
        "in place. Both are a handful of calls of OpenCV",
    ),
    "luminance": Pair(
        ours=("luminance", {}),
        module="recolor",
        detector="Recolorizer",
        arguments={"mode": "luminance", "gamma_correction": 1.0},
        target=1.0,
        why="aux takes the lightness of the picture with red and blue exchanged",
    ),
    "luminance, as aux": Pair(
        ours=("luminance", {"peer_compat": True}),
        module="recolor",
        detector="Recolorizer",
        arguments={"mode": "luminance", "gamma_correction": 1.0},
        target=1.0,
        why="",
    ),
}


def aux_call(folder: Path) -> tuple[Callable[..., Any], Callable[[Pair], Any]]:
    """The peer's loop over a batch, and its detectors, without the rest of its nodes."""
    from benchmarks.importing import empty_package, install_folder

    install_folder(folder / "src", first=False)
    empty_package("aux_pack", folder)
    call = importlib.import_module("aux_pack.utils").common_annotator_call

    def detector(pair: Pair) -> Any:
        return getattr(importlib.import_module(f"custom_controlnet_aux.{pair.module}"), pair.detector)()

    return call, detector


def shortest(rounds: int, *calls: Callable[[], Any]) -> list[float]:
    """Milliseconds a picture of each call; they take turns."""
    best = [float("inf")] * len(calls)
    for _ in range(rounds):
        for place, call in enumerate(calls):
            began = time.perf_counter()
            call()
            best[place] = min(best[place], 1000 * (time.perf_counter() - began) / BATCH)
    return [round(value, 2) for value in best]


@dataclass(frozen=True)
class Options:
    rounds: int = 5
    only: tuple[str, ...] = ()
    """some pairs, such as `canny`, printed and not written"""
    out: Path = RESULTS / "annotators_speed.json"


def main() -> None:
    options = read_options(Options, "annotators", __doc__)
    host = checkout()
    aux = Path(os.environ.get("ZEROCTL_AUX", ""))
    if not (aux / "node_wrappers").is_dir():
        sys.exit("ZEROCTL_AUX must name a checkout of comfyui_controlnet_aux")
    from benchmarks.importing import install_folder

    sys.argv[1:] = ["--cpu"]
    install_folder(host, first=True)
    import comfy.options

    comfy.options.enable_args_parsing()
    import cv2
    import torch
    from skimage import data

    from zeroctl_core.annotators import ANNOTATORS
    from zeroctl_core.annotators.pictures.pixels import over_white
    from zeroctl_core.annotators.pictures.resolution import at_resolution

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    call, detector = aux_call(aux)
    facts = conditions(host)
    facts["versions"]["opencv"] = cv2.__version__
    photo = torch.from_numpy(data.astronaut().copy()).float()[None] / 255
    rows: dict[str, Any] = {}
    for title in options.only or tuple(PAIRS):
        pair = PAIRS[title]
        name, settings = pair.ours
        theirs_of = detector(pair)
        row: dict[str, Any] = {}
        for size in SIZES:
            image = torch.nn.functional.interpolate(photo.movedim(-1, 1), (size, size), mode="bilinear").movedim(1, -1)
            batch = image.repeat(BATCH, 1, 1, 1).contiguous()

            def ours(batch: Any = batch, size: int = size, name: str = name, settings: Any = settings) -> Any:
                picture = at_resolution(over_white(batch.movedim(-1, 1)), size)
                return ANNOTATORS[name](picture, **settings).movedim(1, -1)

            def theirs(batch: Any = batch, size: int = size, theirs_of: Any = theirs_of, pair: Pair = pair) -> Any:
                return call(theirs_of, batch, resolution=size, show_pbar=False, **pair.arguments)

            if size == SIZES[0]:
                one, other = (map_.mul(255).round() for map_ in (ours(), theirs()))
                apart = (one - other).abs()
                row["equal"] = round(float((apart == 0).float().mean()), 5)
                row["largest_difference"] = float(apart.max())
                row["equal_inverted"] = round(float((255 - one == other).float().mean()), 5)
            mine, peer = shortest(options.rounds, ours, theirs)
            row[str(size)] = {"zeroctl_ms": mine, "aux_ms": peer, "ratio": round(mine / peer, 3)}
        row |= {"target_at_512": pair.target, "reached": row["512"]["ratio"] <= pair.target, "why": pair.why}
        rows[title] = row
        print(f"{title}: {row['512']} {row['1024']}, equal {row['equal']}, {'' if row['reached'] else 'TARGET MISSED'}")
    if options.only:
        return
    rows["canny"] |= opencv_alone(photo, options.rounds, rows["canny"]["512"]["aux_ms"])
    rows["the host's Canny"] = hosts_canny(photo, options.rounds)
    write(options.out, {"conditions": facts, "rounds": options.rounds, "batch": BATCH, "results": rows})


def opencv_alone(photo: Any, rounds: int, aux_ms: float) -> dict[str, Any]:
    """The floor of Canny: OpenCV's call on pixels that are there already, at 512."""
    import cv2

    pixels = (photo[0] * 255).round().byte().numpy()
    (ms,) = shortest(rounds, lambda: [cv2.Canny(pixels, 100, 200) for _ in range(BATCH)])
    why = (
        f"both call OpenCV's Canny, which alone takes {ms / aux_ms:.2f} of aux's time: no copy around it can save more"
    )
    return {"opencv_alone_ms": ms, "why": why}


def hosts_canny(photo: Any, rounds: int) -> dict[str, Any]:
    """The host's node at its defaults and at the setting nearest to ours, one picture at 512."""
    from comfy_extras.nodes_canny import Canny

    from zeroctl_core.annotators import ANNOTATORS

    run = getattr(Canny, "execute", None) or Canny().detect_edge
    ours = ANNOTATORS["canny"](photo.movedim(-1, 1))[:, 0] > 0.5

    def theirs(low: float, high: float) -> Any:
        result = run(photo, low, high)
        return getattr(result, "args", getattr(result, "result", result))[0][..., 0] > 0.5

    (ms,) = shortest(max(1, rounds // 5), lambda: theirs(0.4, 0.8))
    (mine,) = shortest(rounds, lambda: ANNOTATORS["canny"](photo.movedim(-1, 1)))
    row: dict[str, Any] = {"zeroctl_ms": round(mine * BATCH, 2), "host_ms": round(ms * BATCH, 2)}
    for low, high in ((0.4, 0.8), (0.15, 0.30)):
        edges = theirs(low, high)
        row[f"edge pixels at {low}, {high} over ours"] = round(float(edges.float().sum() / ours.float().sum()), 3)
    row["why"] = "kornia on grey with a 5x5 blur; the released ControlNets were trained on OpenCV's on RGB, no blur"
    return row


if __name__ == "__main__":
    main()
