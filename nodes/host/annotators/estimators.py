"""What finds key points: folders of ViTPose, beside a detector of people, or MoveNet, which finds people by itself; and
the network of faces.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from zeroctl_core.annotators.networks import NETWORKS
from zeroctl_core.annotators.pose import LONGER_SIDE, seen_pixels

from ..schema import io, option
from .files import absent
from .folders import absent_folder, folder_names, is_there
from .inputs import ABSENT
from .nets import load_folders, load_networks
from .roots import roots

__all__ = ["FACES", "MOVENET", "NETWORK", "estimator_input", "files_of", "load_pose_nets"]

MOVENET = "movenet-multipose"
NETWORK, FACES = "movenet_multipose", "face_landmarks"


def estimator_names() -> list[str]:
    """ViTPose first, which is the best, then other folders, then MoveNet; MoveNet first where only that is there."""
    names = folder_names("pose")
    has_movenet = any((root / NETWORKS[NETWORK].file).is_file() for root in roots())
    return [MOVENET, *names] if has_movenet and not (is_there("pose") and is_there("people")) else [*names, MOVENET]


def estimator_input() -> Any:
    absent_ones = absent_folder("pose") | ({MOVENET: text} if (text := absent(NETWORKS[NETWORK])) else {})
    return option(
        io.Combo,
        "estimator",
        **({ABSENT: absent_ones} if absent_ones else {}),
        options=estimator_names(),
        tooltip="A folder with config.json and model.safetensors of a transformers model, below ComfyUI's "
        f"models/annotators; or {MOVENET}, small and fast, which finds up to six people by itself: without the "
        "detector, and without bboxes.",
    )


def files_of(network: str) -> str:
    """The files of a network, and the licence of its weights, in words."""
    published = NETWORKS[network]
    return f"{' with '.join(file.file for file in published.files)} (weights: {published.licence})"


def load_pose_nets(
    estimator: str, detector: str | None, face: bool, may_download: bool, size: tuple[int, int]
) -> list[nn.Module]:
    """The estimator; unless that is MoveNet or there is none, the detector; the network of faces, if asked for.

    With room for a picture of this height and width. Raises what `load_networks` and `load_folders` raise.
    """
    extra = [FACES] * face
    if estimator == MOVENET:
        return load_networks([NETWORK, *extra], may_download, LONGER_SIDE**2)
    models = {"pose": estimator} | ({} if detector is None else {"people": detector})
    return load_folders(models, may_download, seen_pixels(*size), networks=extra)
