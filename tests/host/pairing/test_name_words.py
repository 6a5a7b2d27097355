"""What a ControlNet was trained on, by the names that files of the field have."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
RELEASED = {
    "control_v11p_sd15_canny": "canny",
    "control_v11p_sd15s2_lineart_anime_fp16": "lineart_anime",
    "control_v11p_sd15_lineart": "lineart",
    "control_v11p_sd15_mlsd": "lines",
    "control_v11p_sd15_normalbae": "normal",
    "control_v11p_sd15_openpose": "pose",
    "control_v11p_sd15_scribble": "scribble",
    "control_v11p_sd15_seg": "segment",
    "control_v11p_sd15_softedge": "softedge",
    "control_v11f1e_sd15_tile": "tile",
    "control_v11e_sd15_shuffle": "shuffle",
    "control_v11p_sd15_inpaint": "inpaint",
    "control_sd15_hed": "softedge",
    "control_v1p_sd15_brightness": "luminance",
    "diffusers_xl_depth_full": "depth",
    "OpenPoseXL2": "pose",
    "controlnetxlCNXL_xinsirCannyV2": "canny",
    "t2i-adapter_diffusers_xl_sketch": "scribble",
    "sai_xl_recolor": "luminance",
    "kohya_controllllite_xl_blur": "blur",
    "mistoLine_rank256": "canny",
    "edges": "canny",
}
WITHOUT = [
    "control_v11e_sd15_ip2p",  # named, and of no annotator here
    "control_sd15_animal_openpose_fp16",
    "control_v1p_sd15_qrcode_monster_v2",
    "sdxl_densepose",
    "diffusion_pytorch_model",
    "mine",
    "shedding_hedgehog",
    "colossus_segue",
]


@pytest.fixture(scope="module")
def annotators_of(host: Any) -> Any:
    """The annotators for which a name has a word."""
    pack = host.pack_module(ROOT).__name__
    words = importlib.import_module(f"{pack}.nodes.host.pairing.name_words")
    conditions = importlib.import_module(f"{pack}.nodes.pairing").conditions()
    names = [word for condition in conditions.values() for word in condition.net_names] + [*words.OTHERS]

    def annotators(name: str) -> set[str]:
        inside = set(words.words_in(name, names))
        return {annotator for annotator, condition in conditions.items() if inside & set(condition.net_names)}

    return annotators


@pytest.mark.parametrize("name", RELEASED)
def test_a_released_name_goes_with_its_annotator(annotators_of: Any, name: str) -> None:
    assert RELEASED[name] in annotators_of(name)


@pytest.mark.parametrize("name", WITHOUT)
def test_another_name_goes_with_none(annotators_of: Any, name: str) -> None:
    assert annotators_of(name) == set()


def test_the_longest_word_counts(annotators_of: Any) -> None:
    assert "lineart" not in annotators_of("control_v11p_sd15s2_lineart_anime")
    assert "canny" not in annotators_of("softedges") and "color" not in annotators_of("recolor")
