"""Annotators beside those of comfyui_controlnet_aux, of the released ControlNets and of controlnet-aux: what differs.

ZEROCTL_AUX=<comfyui_controlnet_aux> ZEROCTL_CN11=<lllyasviel/ControlNet-v1-1-nightly>
ZEROCTL_CN10=<lllyasviel/ControlNet> python benchmarks/annotator_differences.py

Needs the extra "test", and einops, matplotlib and huggingface_hub, which the peers import; controlnet-aux from PyPI is
compared where it is installed, `pip install --no-deps` is enough. No file of weights is needed: networks get the random
weights of the tests, the same on both sides.

Of the released demos (gradio_*.py) the whole `process` runs up to its sampler, so that the map is what the ControlNet
is given. What the peers import besides, and a comparison of pictures does not need, is replaced by mocks.

One row a pair. `equal` is the share of pixels whose three channels are equal in 8 bits, `within_one_level` that of
those at most one level apart; `largest_difference` is in levels, before ours is rounded. `colors` is how many different
pixels our maps hold: few prove little. `verdict` is "equal", or who is right, and which file says so.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import importlib.metadata
import importlib.util
import inspect
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock, patch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
import cv2  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from skimage import data  # noqa: E402

from benchmarks.conditions import RESULTS, conditions, print_table, with_tests_importable, write  # noqa: E402
from zeroctl_core.annotators import ANNOTATORS  # noqa: E402
from zeroctl_core.annotators.networks import NETWORKS  # noqa: E402
from zeroctl_core.annotators.palette import palette_colors  # noqa: E402
from zeroctl_core.annotators.pose import draw_pose  # noqa: E402

FOLDERS = {"aux": "ZEROCTL_AUX", "cn11": "ZEROCTL_CN11", "cn10": "ZEROCTL_CN10"}
NAMES = {
    "aux": "comfyui_controlnet_aux",
    "cn11": "lllyasviel/ControlNet-v1-1-nightly",
    "cn10": "lllyasviel/ControlNet",
    "hf": "controlnet-aux (PyPI)",
    "opencv": "OpenCV",
}
DEMO_STUBS = (
    "share",
    "config",
    "gradio",
    "pytorch_lightning",
    "cldm",
    "cldm.model",
    "cldm.ddim_hacked",
    "cldm.hack",
    "annotator.pidinet",
    "annotator.midas.api",
)
"""What the released demos import and a map does not need: the user interface, the diffusion model, other networks."""

Levels = np.ndarray[Any, Any]
Run = Callable[[Levels], Levels]


# ---- the peers


def folder_of(peer: str) -> Path:
    """The checkout of a peer. Raises `FileNotFoundError` where its variable names none."""
    named = os.environ.get(FOLDERS[peer], "")
    folder = Path(named).expanduser().resolve()
    if not named or not folder.is_dir():
        raise FileNotFoundError(f"{FOLDERS[peer]} names no checkout of {NAMES[peer]}")
    return folder


def version_of(peer: str) -> str:
    """Commit, or version where there is no git."""
    try:
        if peer == "opencv":
            return str(cv2.__version__)
        if peer == "hf":
            return importlib.metadata.version("controlnet-aux")
        folder = folder_of(peer)
    except (FileNotFoundError, importlib.metadata.PackageNotFoundError) as error:
        return f"not there ({error})"
    if (folder / ".git").exists():
        git = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=folder, capture_output=True, text=True)
        if git.returncode == 0:
            return git.stdout.strip()
    lines = (folder / "pyproject.toml").read_text().splitlines() if (folder / "pyproject.toml").is_file() else []
    return next((line.split('"')[1] for line in lines if line.startswith("version")), "unknown, no git")


@contextmanager
def importing(folder: Path, package: str, stubs: Iterable[str] = ()) -> Iterator[None]:
    """Import from a folder, with mocks for `stubs`; afterwards the package's name is free again.

    Both releases of ControlNet call their package `annotator`. `cuda()` does nothing, so that all runs on the CPU.
    """
    before = dict(sys.modules)
    sys.modules.update({name: MagicMock() for name in stubs})
    sys.path.insert(0, str(folder))
    stay = patch.object(torch.Tensor, "cuda", lambda self: self)
    stay_too = patch.object(torch.nn.Module, "cuda", lambda self: self)
    try:
        with stay, stay_too, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] == package or name in stubs]:
            del sys.modules[name]
            if name in before:
                sys.modules[name] = before[name]


def empty_package(name: str, folder: Path) -> None:
    """A package whose __init__.py, which imports every detector, is not run."""
    package = ModuleType(name)
    package.__path__ = [str(folder)]
    sys.modules[name] = package


def single_file(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def missing(*names: str) -> list[str]:
    """Of packages and their modules those whose package is not installed."""
    return [name for name in names if importlib.util.find_spec(name.partition(".")[0]) is None]


@cache
def aux(module: str) -> ModuleType:
    folder = folder_of("aux") / "src"
    with importing(folder, "", missing("torchvision", "torchvision.transforms")):
        if "custom_controlnet_aux" not in sys.modules:
            empty_package("custom_controlnet_aux", folder / "custom_controlnet_aux")
        return importlib.import_module(f"custom_controlnet_aux.{module}")


@cache
def hf(module: str) -> ModuleType:
    folder = hf_folder()
    with importing(folder.parent, "", missing("torchvision", "torchvision.transforms")):
        if "controlnet_aux" not in sys.modules:
            empty_package("controlnet_aux", folder)
        return importlib.import_module(f"controlnet_aux.{module}")


@cache
def hf_folder() -> Path:
    spec = importlib.util.find_spec("controlnet_aux")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("controlnet-aux is not installed")
    return Path(spec.submodule_search_locations[0])


@cache
def released(peer: str, module: str) -> ModuleType:
    """A module of a release's package `annotator`."""
    with importing(folder_of(peer), "annotator", DEMO_STUBS):
        return importlib.import_module(f"annotator.{module}")


class Reached(Exception):
    """The demo has come to its sampler."""


def control_of(peer: str, demo: str, prepare: Callable[[ModuleType], None] | None = None, **given: Any) -> Levels:
    """What a released demo gives its ControlNet, in levels: [H, W, 3]. `prepare` gets the demo's module."""
    folder = folder_of(peer)
    with importing(folder, "annotator", DEMO_STUBS):
        sampler, model = MagicMock(), MagicMock(device="cpu")
        model.cpu.return_value = model.cuda.return_value = model
        sampler.sample.side_effect = sampler.decode.side_effect = Reached
        sys.modules["cldm.ddim_hacked"].DDIMSampler.return_value = sampler
        sys.modules["cldm.model"].create_model.return_value = model
        module = single_file(folder / f"{demo}.py", f"annotator.{demo}")
        if prepare is not None:
            prepare(module)
        usual = {"prompt": "", "a_prompt": "", "n_prompt": "", "num_samples": 1, "ddim_steps": 20, "guess_mode": False}
        usual |= {"strength": 1.0, "scale": 9.0, "seed": 1, "eta": 1.0, "is_safe": False, "denoise_strength": 1.0}
        names = inspect.signature(module.process).parameters
        try:
            module.process(**{name: value for name, value in {**usual, **given}.items() if name in names})
        except Reached:
            call = sampler.sample.call_args or sampler.decode.call_args
            cond = next(argument for argument in call.args if isinstance(argument, dict))
            return np.asarray(cond["c_concat"][0][0].movedim(0, -1).double().numpy() * 255)
    raise RuntimeError(f"{demo}.py did not come to its sampler")


def short_side(picture: Levels) -> int:
    return int(min(picture.shape[:2]))


def demo(peer: str, name: str, prepare: Callable[[ModuleType], None] | None = None, **given: Any) -> Run:
    """A released demo, at the picture's own size."""

    def run(picture: Levels) -> Levels:
        sizes = {"image_resolution": short_side(picture), "detect_resolution": short_side(picture)}
        return control_of(peer, name, prepare, **{"input_image": picture, **sizes, **given})

    return run


def aux_detector(module: str, name: str, *parts: Any, **given: Any) -> Run:
    """A detector of comfyui_controlnet_aux, at the picture's own size."""

    def run(picture: Levels) -> Levels:
        detector = getattr(aux(module), name)(*parts_of(parts))
        return np.asarray(detector(picture, detect_resolution=short_side(picture), output_type="np", **given))

    return run


def hf_detector(module: str, name: str, *parts: Any, **given: Any) -> Run:
    """A detector of controlnet-aux, at the picture's own size."""

    def run(picture: Levels) -> Levels:
        detector = getattr(hf(module), name)(*parts_of(parts))
        sizes = {"detect_resolution": short_side(picture)}
        if "image_resolution" in inspect.signature(type(detector).__call__).parameters:
            sizes["image_resolution"] = short_side(picture)
        return np.asarray(detector(picture, output_type="np", **sizes, **given))

    return run


def parts_of(parts: Iterable[Any]) -> list[Any]:
    """Networks are built when a row is run, so that one that cannot be imported says so in its own row."""
    return [part() if isinstance(part, functools.partial) else part for part in parts]


# ---- ours


def tensor(picture: Levels) -> torch.Tensor:
    return torch.from_numpy(picture.copy()).movedim(-1, 0)[None].float() / 255


def levels(image: torch.Tensor) -> Levels:
    return np.asarray(image[0].movedim(0, -1).double().numpy() * 255)


def ours(name: str, net: str | None = None, **settings: Any) -> Run:
    def run(picture: Levels) -> Levels:
        extra = {} if net is None else {"net": our_net(net)}
        return levels(ANNOTATORS[name](tensor(picture), **extra, **settings))

    return run


@cache
def test_module(name: str) -> ModuleType:
    with_tests_importable()
    return single_file(ROOT / "tests" / "core" / "annotators" / f"{name}.py", f"zeroctl_{name}")


@cache
def our_net(name: str) -> torch.nn.Module:
    if name == "mlsd":
        found: torch.nn.Module = test_module("test_mlsd").seeded_mlsd()
        return found
    net = NETWORKS[name].build()
    weights = test_module("conftest").seeded_weights(name)
    if name == "lineart_coarse":
        weights["model4.1.weight"].neg_()  # not the map of lineart_realistic
    net.load_state_dict(weights)
    return net.eval().requires_grad_(False)


def filled(build: Callable[[], torch.nn.Module], name: str) -> torch.nn.Module:
    """A peer's network with the weights of ours."""
    net = build()
    net.load_state_dict(our_net(name).state_dict())
    return net.eval().requires_grad_(False)


# ---- pictures


def photos() -> dict[str, Levels]:
    """Sides are multiples of 64, so that no peer resizes or pads."""
    return {
        "astronaut 512x512": data.astronaut(),
        "coffee 384x576": data.coffee()[:384, :576].copy(),
        "cat 256x448": data.chelsea()[:256, :448].copy(),
    }


def small_photos() -> dict[str, Levels]:
    return {
        "astronaut 256x256": cv2.resize(data.astronaut(), (256, 256), interpolation=cv2.INTER_AREA),
        "coffee 256x256": cv2.resize(data.coffee()[:400, 100:500], (256, 256), interpolation=cv2.INTER_AREA),
    }


def odd_photo(height: int, width: int) -> dict[str, Levels]:
    return {f"coffee {height}x{width}": data.coffee()[:height, :width].copy()}


def ink() -> dict[str, Levels]:
    """Black lines of 1 to 8 pixels on white."""
    paper = np.full((256, 256, 3), 255, np.uint8)
    for number in range(8):
        cv2.line(paper, (20, 20 + 28 * number), (236, 12 + 30 * number), (0, 0, 0), number + 1)
    return {"ink lines 256x256": paper}


def grey_mask() -> dict[str, Levels]:
    return {"camera 512x512, as a mask": np.repeat(data.camera()[..., None], 3, axis=2)}


def depths() -> dict[str, Levels]:
    """The photographs' blurred brightness in 0..255, not rounded: as good a depth as any."""
    return {
        f"brightness of {name}": cv2.GaussianBlur(
            cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 3.0
        )
        for name, picture in photos().items()
    }


# ---- rows


@dataclass(frozen=True)
class Row:
    """One annotator with its settings beside one peer's, on some pictures."""

    title: str
    ours: Run
    peer: str
    file: str
    theirs: Run
    pictures: Mapping[str, Levels]
    settings: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""
    inverted: bool = False

    def measure(self, versions: Mapping[str, str]) -> dict[str, Any]:
        found: dict[str, Any] = {
            "settings": dict(self.settings),
            "peer": f"{NAMES[self.peer]} {versions[self.peer]}, {self.file}",
            "pictures": list(self.pictures),
        }
        try:
            pairs = [(self.ours(picture), self.theirs(picture)) for picture in self.pictures.values()]
        except Exception as error:  # whatever a peer raises, the other rows are still of use
            return {**found, "not_run": f"{type(error).__name__}: {error}"}
        apart = [np.abs(mine - their.astype(np.float64)).max(-1) for mine, their in pairs]
        same = [(mine.round() == their.round()).all(-1) for mine, their in pairs]
        found["equal"] = share(same)
        found["within_one_level"] = share([plane <= 1.01 for plane in apart])
        found["largest_difference"] = round(float(max(plane.max() for plane in apart)), 2)
        found["colors"] = len(np.unique(np.concatenate([mine.round().reshape(-1, 3) for mine, _ in pairs]), axis=0))
        if self.inverted:
            found["equal_inverted"] = share([(mine.round() == 255 - their.round()).all(-1) for mine, their in pairs])
        everywhere = all(bool(plane.all()) for plane in same)
        found["verdict"] = "equal" if everywhere else self.why or "UNEXPLAINED"
        if everywhere and found["largest_difference"] >= 0.01:
            found["verdict"] = "equal in 8 bits"
        return found


def share(planes: Sequence[np.ndarray[Any, Any]]) -> float:
    """Of all pixels, cut and not rounded, so that 1 means all."""
    return int(1e6 * sum(int(plane.sum()) for plane in planes) / sum(plane.size for plane in planes)) / 1e6


def row(
    title: str, name: str, peer: str, file: str, theirs: Run, pictures: Mapping[str, Levels], why: str = "", **rest: Any
) -> Row:
    net, inverted = rest.pop("net", None), rest.pop("inverted", False)
    settings = {**({} if net is None else {"net": f"{net}, random weights"}), **rest}
    return Row(title, ours(name, net, **rest), peer, file, theirs, pictures, settings, why, inverted)


def rows_of_edges() -> list[Row]:
    canny = {"low": 100, "high": 200}
    theirs = {"low_threshold": 100, "high_threshold": 200}
    polarity = (
        "ours: white lines on black are what the ControlNet is given by the released gradio_scribble2image.py; aux "
        "hands out its inverse"
    )
    holes = (
        "ours: aux doubles a difference in 8 bits, so that 128 levels and more count for little and strong lines get "
        "holes; XDoG is in no release"
    )
    return [
        row("canny", "canny", "cn11", "gradio_canny.py", canny_demo(), photos(), **canny),
        row("canny", "canny", "aux", "canny", aux_detector("canny", "CannyDetector", **theirs), photos(), **canny),
        row("canny", "canny", "hf", "canny", hf_detector("canny", "CannyDetector", **theirs), photos(), **canny),
        row(
            "canny, odd size",
            "canny",
            "aux",
            "canny",
            aux_detector("canny", "CannyDetector", **theirs),
            odd_photo(333, 517),
            "ours: the released annotator/canny sees the picture alone; aux repeats its border to a multiple of 64 "
            "first, which changes edges in the last rows and columns",
            **canny,
        ),
        row(
            "scribble, drawing",
            "scribble",
            "cn10",
            "gradio_scribble2image.py",
            demo("cn10", "gradio_scribble2image"),
            photos(),
            polarity="dark_on_light",
        ),
        row(
            "scribble, drawing, light lines",
            "scribble",
            "cn11",
            "gradio_scribble_interactive.py",
            lambda picture: demo("cn11", "gradio_scribble_interactive", input_image={"mask": picture})(picture),
            grey_mask(),
            polarity="light_on_dark",
        ),
        row(
            "scribble, polarity",
            "scribble",
            "aux",
            "scribble",
            aux_detector("scribble", "ScribbleDetector"),
            photos(),
            polarity,
            inverted=True,
            polarity="dark_on_light",
        ),
        *(
            row(
                title,
                "scribble",
                "aux",
                "scribble",
                aux_detector("scribble", "ScribbleXDog_Detector", thr_a=32),
                pictures,
                holes,
                source="xdog",
                xdog_threshold=32,
            )
            for title, pictures in (("scribble, XDoG", photos()), ("scribble, XDoG, ink", ink()))
        ),
        *(
            row(
                "lineart, standard",
                "lineart",
                peer,
                "lineart_standard",
                detector("lineart_standard", "LineartStandardDetector", guassian_sigma=6.0, intensity_threshold=8),
                photos(),
                style="standard",
                sigma=6.0,
                intensity=8,
            )
            for peer, detector in (("aux", aux_detector), ("hf", hf_detector))
        ),
    ]


def canny_demo() -> Run:
    return demo("cn11", "gradio_canny", det="Canny", low_threshold=100, high_threshold=200)


def rows_of_colors() -> list[Row]:
    exchanged = "ours: aux hands RGB to COLOR_BGR2LAB, so that red and blue are exchanged; peer_compat is its choice"
    as_aux: Run = aux_detector("recolor", "Recolorizer", mode="luminance", gamma_correction=1.0)
    return [
        row(
            "tile, resize",
            "tile",
            "cn11",
            "gradio_tile.py",
            demo("cn11", "gradio_tile"),
            photos(),
            mode="resize",
        ),
        row(
            "tile, pyramid",
            "tile",
            "cn11",
            "annotator/shuffle, DownSampleDetector without noise",
            lambda picture: np.asarray(released("cn11", "shuffle").DownSampleDetector()(picture, level=3, k=0.0)),
            photos(),
            "both: ours rounds to 8 bits at each level, the release cuts once at the end; no released demo uses it "
            "(gradio_tile.py hands the picture on)",
            mode="pyramid",
            downscale=8.0,
        ),
        row(
            "tile, pyramid",
            "tile",
            "aux",
            "tile",
            lambda picture: np.asarray(aux("tile").TileDetector()(picture, pyrUp_iters=3, output_type="np")),
            photos(),
            "ours: aux shrinks by AREA and enlarges by pyrUp, which moves the picture 3 pixels up and left; the "
            "pyramid of the released annotator/shuffle stays in place",
            mode="pyramid",
            downscale=8.0,
        ),
        row(
            "shuffle",
            "shuffle",
            "cn11",
            "gradio_shuffle.py",
            demo("cn11", "gradio_shuffle", det="Shuffle", seed=1),
            photos(),
            "ours keeps the fractions that the released annotator/shuffle rounds to 8 bits, where it falls on a half",
            seed=1,
            f=256,
        ),
        row(
            "shuffle",
            "shuffle",
            "aux",
            "shuffle",
            aux_detector("shuffle", "ContentShuffleDetector", seed=1),
            photos(),
            "ours: gradio_shuffle.py draws after numpy.random.seed(seed); aux draws from numpy.random.default_rng, and "
            "takes seed 0 for none",
            seed=1,
            f=256,
        ),
        row(
            "shuffle",
            "shuffle",
            "hf",
            "shuffle, after numpy.random.seed(1)",
            after_seed(1, hf_detector("shuffle", "ContentShuffleDetector")),
            photos(),
            "as for the release: fractions, rounded where they fall on a half",
            seed=1,
            f=256,
        ),
        row(
            "color",
            "color",
            "aux",
            "color",
            aux_detector("color", "ColorDetector"),
            photos(),
            "rounding in OpenCV's cubic, one level",
            grid=64,
        ),
        row("luminance", "luminance", "aux", "recolor", as_aux, photos(), exchanged, mode="L", peer_compat=False),
        row("luminance, as aux", "luminance", "aux", "recolor", as_aux, photos(), mode="L", peer_compat=True),
        row(
            "luminance, intensity, as aux",
            "luminance",
            "aux",
            "recolor",
            aux_detector("recolor", "Recolorizer", mode="intensity", gamma_correction=0.7),
            photos(),
            mode="V",
            gamma=0.7,
            peer_compat=True,
        ),
        row(
            "blur",
            "blur",
            "opencv",
            "GaussianBlur, as sd-webui-controlnet's blur_gaussian calls it; the other peers have no blur",
            lambda picture: np.asarray(cv2.GaussianBlur(picture, (0, 0), 9.0)),
            photos(),
            sigma=9.0,
        ),
    ]


def after_seed(seed: int, run: Run) -> Run:
    def seeded(picture: Levels) -> Levels:
        np.random.seed(seed)
        return run(picture)

    return seeded


def hole(picture: Levels) -> Levels:
    """A round, a ramp and a speck, in 0..255."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[:height, :width]
    mask = np.where((x - width / 2) ** 2 + (y - height / 2) ** 2 < (height / 4) ** 2, 255, 0).astype(np.uint8)
    mask[: height // 8] = np.linspace(0, 255, width).astype(np.uint8)
    mask[-12:-8, 10:14] = 255
    return mask


def rows_of_holes_and_normals() -> list[Row]:
    def our_hole(**settings: Any) -> Run:
        def run(picture: Levels) -> Levels:
            mask = torch.from_numpy(hole(picture)).float()[None, None] / 255
            return levels(ANNOTATORS["inpaint"](tensor(picture), mask=mask, **settings))

        return run

    def aux_hole(black: bool) -> Run:
        def run(picture: Levels) -> Levels:
            with importing(folder_of("aux"), "aux_pack", ("aux_pack.utils",)):
                empty_package("aux_pack", folder_of("aux"))
                node = importlib.import_module("aux_pack.node_wrappers.inpaint").InpaintPreprocessor()
            mask = torch.from_numpy(hole(picture)).float()[None] / 255
            image = node.preprocess(tensor(picture).movedim(1, -1), mask, black)[0]
            return np.asarray(image[0].double().numpy() * 255)

        return run

    def cn11_hole(picture: Levels) -> Levels:
        given = {"image": picture, "mask": np.repeat(hole(picture)[..., None], 3, axis=2)}
        return demo("cn11", "gradio_inpaint", input_image_and_mask=given, mask_blur=5.0)(picture)

    def our_normal(strength: float) -> Run:
        return lambda depth: levels(ANNOTATORS["normal"](depth_image(depth), order="midas_cn10", strength=strength))

    def depth_image(depth: Levels) -> torch.Tensor:
        return torch.from_numpy(depth / np.float32(255))[None, None].repeat(1, 3, 1, 1)

    def cn10_normal(depth: Levels) -> Levels:
        def prepare(module: ModuleType) -> None:
            module.apply_midas.model = lambda image: torch.from_numpy(depth.copy())[None]

        picture = np.zeros((*depth.shape, 3), np.uint8)
        return demo("cn10", "gradio_normal2image", prepare, bg_threshold=0.4)(picture)

    blurred, plain = {"fill": "minus_one", "mask_blur": 5.0}, {"fill": "minus_one"}
    return [
        Row("inpaint", our_hole(**blurred), "cn11", "gradio_inpaint.py", cn11_hole, photos(), blurred),
        Row("inpaint", our_hole(**plain), "aux", "node_wrappers/inpaint.py", aux_hole(False), photos(), plain),
        Row(
            "inpaint, black",
            our_hole(fill="black"),
            "aux",
            "node_wrappers/inpaint.py",
            aux_hole(True),
            photos(),
            {"fill": "black"},
        ),
        *(
            Row(
                "normal from depth",
                our_normal(strength),
                "cn10",
                "gradio_normal2image.py with a depth in place of MiDaS's",
                cn10_normal,
                depths(),
                {"strength": strength, "background": 0.4, "order": "midas_cn10", "scale": 255},
                why,
            )
            for strength, why in (
                (6.283, "cn10: its annotator/midas has 2 pi, of which our default keeps three decimals: one level"),
                (2 * np.pi, "both: the depth divided by 255 and multiplied again rounds to the other side of a cut"),
            )
        ),
    ]


def rows_of_poses() -> list[Row]:
    people = test_module("test_pose")
    canvas = {"black 512x512": np.zeros((512, 512, 3), np.uint8)}
    random = np.random.default_rng(0)
    crowds = [
        [
            people.P * random.uniform(0.3, 0.9, 2) + random.uniform(-0.1, 0.5, 2) + random.normal(0, 0.02, (18, 2))
            for _ in range(3)
        ]
        for _ in range(20)
    ]
    wide = {"20 x black 512x768": np.zeros((512, 768, 3), np.uint8)}
    order = (
        "ours: the released annotator/openpose/util.py draws limb by limb over all people, and all joints after; the "
        "peer draws one person after the other, which differs where two overlap"
    )

    def drawn_by_us(groups: Sequence[Mapping[str, Any]]) -> Run:
        def run(picture: Levels) -> Levels:
            height, width = picture.shape[:2]
            pictures = []
            for group in groups:
                found = [{"pose_keypoints_2d": people.flat(body)} for body in group.get("bodies", ())]
                for part in ("hand_right", "face"):
                    if part in group:
                        found.append({f"{part}_keypoints_2d": people.flat(group[part])})
                frame = people.frame(*found, height=height, width=width)
                pictures.append(levels(draw_pose([frame], height, width, hands=True, face=True)))
            return np.concatenate(pictures)

        return run

    def drawn_by_release(groups: Sequence[Mapping[str, Any]]) -> Run:
        def run(picture: Levels) -> Levels:
            util = single_file(folder_of("cn11") / "annotator" / "openpose" / "util.py", "cn11_openpose_util")
            pictures = []
            for group in groups:
                bodies = group.get("bodies", ())
                subset = np.arange(18 * len(bodies)).reshape(-1, 18)
                canvas = np.zeros_like(picture)
                if bodies:
                    canvas = util.draw_bodypose(canvas, np.concatenate(bodies), subset)
                canvas = util.draw_handpose(canvas, [group["hand_right"]] if "hand_right" in group else [])
                pictures.append(util.draw_facepose(canvas, [group["face"]] if "face" in group else []))
            return np.concatenate(pictures)

        return run

    def drawn_by(package: Callable[[str], ModuleType], groups: Sequence[Mapping[str, Any]]) -> Run:
        def run(picture: Levels) -> Levels:
            module = package("open_pose")
            points = module.Keypoint

            def found(numbers: Any) -> Any:
                return None if numbers is None else [points(float(x), float(y)) for x, y in numbers]

            pictures = []
            for group in groups:
                parts = (None, found(group.get("hand_right")), found(group.get("face")))
                bodies = [found(body) for body in group.get("bodies", ())] or [[None] * 18]
                poses = [module.PoseResult(module.BodyResult(body, 18.0, 18), *parts) for body in bodies]
                pictures.append(module.draw_poses(poses, *picture.shape[:2]))
            return np.concatenate(pictures)

        return run

    cases: list[tuple[str, list[dict[str, Any]], dict[str, Levels]]] = [
        ("pose, one person", [{"bodies": [people.P]}], canvas),
        ("pose, two persons", [{"bodies": [people.P, people.Q]}], canvas),
        ("pose, three random persons", [{"bodies": crowd} for crowd in crowds], wide),
        ("pose, hand", [{"hand_right": people.HAND}], canvas),
        ("pose, face", [{"face": people.FACE}], canvas),
    ]
    found = []
    for title, groups, pictures in cases:
        mine = drawn_by_us(groups)
        found += [
            Row(title, mine, "cn11", "annotator/openpose/util.py", drawn_by_release(groups), pictures),
            Row(title, mine, "aux", "open_pose", drawn_by(aux, groups), pictures, why=order),
            Row(title, mine, "hf", "open_pose", drawn_by(hf, groups), pictures, why=order),
        ]
    return found


def with_parts(module: str, name: str, attributes: Mapping[str, Any]) -> Callable[..., None]:
    """Give a released demo its detector, made without its files of weights."""

    def prepare(demo_module: ModuleType) -> None:
        kind = getattr(demo_module, name)
        detector = kind.__new__(kind)
        package = sys.modules[kind.__module__]
        for key, (build, net) in attributes.items():
            setattr(detector, key, filled(functools.partial(build, package), net))
        demo_module.__dict__["preprocessor"] = detector

    return prepare


def anime(package: ModuleType) -> torch.nn.Module:
    norm = functools.partial(torch.nn.InstanceNorm2d, affine=False, track_running_stats=False)
    net: torch.nn.Module = package.UnetGenerator(3, 1, 8, 64, norm_layer=norm, use_dropout=False)
    return net


def hed(package: ModuleType) -> torch.nn.Module:
    net: torch.nn.Module = package.ControlNetHED_Apache2()
    return net


def drawing(package: ModuleType) -> torch.nn.Module:
    net: torch.nn.Module = package.Generator(3, 1, 3)
    return net


def mlsd(package: ModuleType) -> torch.nn.Module:
    net: torch.nn.Module = package.MobileV2_MLSD_Large()
    return net


def net_of(package: Callable[[str], ModuleType], module: str, build: Callable[..., torch.nn.Module], net: str) -> Any:
    """A peer's network, built and filled when the row is run."""
    return functools.partial(lambda: filled(lambda: build(package(module)), net))


def rows_of_networks() -> list[Row]:
    peers: tuple[tuple[str, Any, Callable[..., Run]], ...] = (("aux", aux, aux_detector), ("hf", hf, hf_detector))
    sums = "both: the same formula, but sums in float32 that fall to the other side of a cut to 8 bits (annotator/hed)"
    fractions = (
        "both: ours keeps the net's fractions, the released annotator/lineart and lineart_anime cut them to 8 bits "
        "before they turn the map round: less than one level"
    )
    small = small_photos()
    found: list[Row] = []
    hed_parts = with_parts("hed", "HEDdetector", {"netNetwork": (hed, "hed")})
    for title, det, settings, given in (
        ("HED, safe", "SoftEdge_HED_safe", {"safe": True}, {"safe": True}),
        ("HED, unsafe", "SoftEdge_HED", {"safe": False}, {"safe": False}),
        ("HED, scribble", "Scribble_HED", {"mode": "scribble"}, {"scribble": True}),
    ):
        name = "gradio_scribble" if "Scribble" in det else "gradio_softedge"
        run = demo("cn11", name, hed_parts, det=det)
        found.append(row(title, "softedge", "cn11", f"{name}.py", run, small, sums, net="hed", **settings))
        for peer, package, detector in peers:
            run = detector("hed", "HEDdetector", net_of(package, "hed", hed, "hed"), **given)
            found.append(row(title, "softedge", peer, "hed", run, small, sums, net="hed", **settings))
    nets = {"model": (drawing, "lineart_realistic"), "model_coarse": (drawing, "lineart_coarse")}
    for style, det in (("realistic", "Lineart"), ("coarse", "Lineart_Coarse")):
        title, net = f"lineart, {style}", f"lineart_{style}"
        run = demo("cn11", "gradio_lineart", with_parts("lineart", "LineartDetector", nets), det=det)
        found.append(row(title, "lineart", "cn11", "gradio_lineart.py", run, small, fractions, net=net, style=style))
        for peer, package, detector in peers:
            both = [net_of(package, "lineart", drawing, f"lineart_{kind}") for kind in ("realistic", "coarse")]
            run = detector("lineart", "LineartDetector", *both, coarse=style == "coarse")
            found.append(row(title, "lineart", peer, "lineart", run, small, fractions, net=net, style=style))
    anime_parts = with_parts("lineart_anime", "LineartAnimeDetector", {"model": (anime, "lineart_anime")})
    anime_demo = demo("cn11", "gradio_lineart_anime", anime_parts, det="Lineart_Anime")
    stretched = (
        "ours departs: the release stretches to multiples of 256 and back (annotator/lineart_anime), we pad, which "
        "keeps the proportions; random weights do not tell how much that is with trained ones"
    )
    file = "gradio_lineart_anime.py"
    found += [
        row("lineart, anime", "lineart_anime", "cn11", file, anime_demo, small, fractions, net="lineart_anime"),
        row(
            "lineart, anime, odd size",
            "lineart_anime",
            "cn11",
            file,
            anime_demo,
            odd_photo(256, 320),
            stretched,
            net="lineart_anime",
        ),
    ]
    for peer, package, detector in peers:
        part = net_of(package, "lineart_anime", anime, "lineart_anime")
        run = detector("lineart_anime", "LineartAnimeDetector", part)
        found.append(
            row("lineart, anime", "lineart_anime", peer, "lineart_anime", run, small, fractions, net="lineart_anime")
        )
    manga = net_of(aux, "manga_line", lambda package: package.res_skip(), "lineart_manga")
    found.append(
        row(
            "lineart, manga",
            "lineart_manga",
            "aux",
            "manga_line",
            aux_detector("manga_line", "LineartMangaDetector", manga),
            small,
            "both: ours gives the net the grey with its fractions and keeps the map's, aux cuts both to 8 bits",
            net="lineart_manga",
        )
    )
    for steps in (2, 0):
        for peer, package, detector in peers:
            name = "TEDDetector" if peer == "aux" else "TEEDdetector"
            part = net_of(package, "teed", lambda package: package.TED(), "teed")
            run = detector("teed", name, part, safe_steps=steps)
            title = "TEED" if steps else "TEED, all shades"
            found.append(row(title, "teed", peer, "teed", run, small, sums, net="teed", safe_steps=steps))
    given = {"method": "mlsd", "score": 0.3, "distance": 8.0}
    mlsd_parts = with_parts("mlsd", "MLSDdetector", {"model": (mlsd, "mlsd")})
    run = demo("cn11", "gradio_mlsd", mlsd_parts, det="MLSD", value_threshold=0.3, distance_threshold=8.0)
    found.append(row("lines, M-LSD", "lines", "cn11", "gradio_mlsd.py", run, small, sums, net="mlsd", **given))
    for peer, package, detector in peers:
        run = detector("mlsd", "MLSDdetector", net_of(package, "mlsd", mlsd, "mlsd"), thr_v=0.3, thr_d=8.0)
        found.append(row("lines, M-LSD", "lines", peer, "mlsd", run, small, sums, net="mlsd", **given))
    return found


def rows_of_palettes() -> list[Row]:
    classes = {"the classes 0..149": np.arange(150)[:, None]}

    def mine(ids: Levels) -> Levels:
        return np.asarray(palette_colors("ade20k")[ids])

    def uniformer(peer: str) -> Run:
        def run(ids: Levels) -> Levels:
            stubs = ("annotator", "annotator.uniformer", "annotator.uniformer.mmcv")
            file = folder_of(peer) / "annotator" / "uniformer" / "mmseg" / "core" / "evaluation" / "class_names.py"
            with importing(folder_of(peer), "annotator", stubs):
                return np.asarray(single_file(file, f"{peer}_class_names").ade_palette())[ids]

        return run

    def oneformer(ids: Levels) -> Levels:
        parts = ("", ".oneformer", ".oneformer.detectron2", ".oneformer.detectron2.data", ".oneformer.detectron2.utils")
        stubs = [f"annotator{part}" for part in (*parts, ".oneformer.detectron2.utils.file_io")]
        file = "annotator/oneformer/oneformer/data/datasets/register_ade20k_panoptic.py"
        with importing(folder_of("cn11"), "annotator", stubs):
            return np.asarray(single_file(folder_of("cn11") / file, "cn11_ade20k").ADE20k_COLORS)[ids]

    def aux_oneformer(ids: Levels) -> Levels:
        kind = aux("oneformer.transformers").OneformerSegmentor
        return np.asarray(kind.__new__(kind)._generate_professional_colormap(ids.astype(np.uint8)))

    def aux_uniformer(ids: Levels) -> Levels:
        return np.asarray(aux("util").ade_palette())[ids]

    hues = (
        "ours: the ControlNets 1.0 and 1.1 were trained on ADE20K's own colours (annotator/uniformer; cn11's OneFormer "
        "has the same); aux makes hues of its own, and class 0, wall, black"
    )
    names = "annotator/uniformer/mmseg/core/evaluation/class_names.py"
    coco = "annotator/oneformer/oneformer/data/datasets/register_ade20k_panoptic.py"
    return [
        Row("ADE20K palette, Uniformer", mine, "cn10", names, uniformer("cn10"), classes),
        Row("ADE20K palette, Uniformer", mine, "cn11", names, uniformer("cn11"), classes),
        Row("ADE20K palette, OneFormer", mine, "cn11", coco, oneformer, classes),
        Row("ADE20K palette, Uniformer", mine, "aux", "util.py", aux_uniformer, classes),
        Row("ADE20K palette, OneFormer", mine, "aux", "oneformer", aux_oneformer, classes, why=hues),
    ]


GROUPS: dict[str, Callable[[], list[Row]]] = {
    "edges": rows_of_edges,
    "colors": rows_of_colors,
    "inpaint and normal": rows_of_holes_and_normals,
    "poses": rows_of_poses,
    "networks": rows_of_networks,
    "palettes": rows_of_palettes,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=list(GROUPS), help="one group of rows, printed and not written")
    parser.add_argument("--out", type=Path, default=RESULTS / "annotators.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = conditions()
    found["versions"]["opencv"] = cv2.__version__
    versions = {peer: version_of(peer) for peer in NAMES}
    found["peers"] = {NAMES[peer]: version for peer, version in versions.items()}
    results = []
    for group, make in GROUPS.items():
        if options.only in (None, group):
            for row_ in make():
                results.append({"annotator": row_.title, **row_.measure(versions)})
                last = results[-1]
                print(row_.title, row_.peer, last.get("equal", "not run"), flush=True)
    table = [
        [
            result["annotator"],
            result["peer"].partition(", ")[0],
            *(str(result.get(key, "-")) for key in ("equal", "within_one_level", "largest_difference")),
            result.get("verdict") or f"not run: {result['not_run']}",
        ]
        for result in results
    ]
    print_table(("annotator", "peer", "equal", "within 1", "largest", "verdict"), table)
    if options.only is None:
        write(options.out, {"conditions": found, "results": results})


if __name__ == "__main__":
    main()
