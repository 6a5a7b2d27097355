"""Segmentation: our classes are transformers' classes, in the colours of the palette and no others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from tiny_transformers import OF_TASK, write_tiny
from torch import Tensor

from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.annotators.colors.class_colors import paint_classes
from zeroctl_core.annotators.colors.palette import ADE20K
from zeroctl_core.annotators.pictures.seen_size import at_seen_size
from zeroctl_core.annotators.segment import SEMANTIC, best_classes, class_scores, segment_ids
from zeroctl_core.annotators.transformers_models import load_model

segment = ANNOTATORS["segment"]
NAMES = OF_TASK["segmentation"]


def soft_picture(height: int, width: int, count: int = 1) -> Tensor:
    """Large soft spots, which tiny nets with random weights see."""
    spots = torch.rand(count, 3, 8, 10, generator=torch.Generator().manual_seed(0))
    return F.interpolate(spots, (height, width), mode="bicubic").clamp(0, 1)


@pytest.fixture
def net(tiny_folder):
    """Seeing 128 pixels: nothing here depends on more."""

    def load(name: str):
        model = load_model(tiny_folder(name), "segmentation")
        model.preprocessing = type(model.preprocessing)(model.preprocessing.mean, model.preprocessing.std, (128, 128))
        return model

    return load


def pixels_of(model, picture: Tensor, size: tuple[int, int]) -> Tensor:
    return model.pixel_values(at_seen_size(picture, size))


@pytest.mark.parametrize("name", NAMES)
def test_keeps_the_contract_of_an_annotator(name, net, no_network):
    picture, model = soft_picture(97, 161, count=2), net(name)
    before = picture.clone()
    condition = segment(picture, net=model)
    assert torch.equal(picture, before)
    assert condition.shape == picture.shape and condition.dtype == torch.float32 and condition.is_contiguous()
    assert torch.equal(condition, segment(picture, net=model))
    assert torch.equal(condition, torch.cat([segment(one[None], net=model) for one in picture]))
    colors = {tuple(color) for color in condition.movedim(1, -1).reshape(-1, 3).mul(255).round().int().tolist()}
    assert 1 < len(colors) and colors <= {tuple(color) for color in ADE20K.tolist()}


@pytest.mark.parametrize("name", NAMES)
def test_the_map_is_the_painted_ids(name, net):
    picture, model = soft_picture(97, 161, count=2), net(name)
    ids = segment_ids(picture, model)
    assert ids.shape == (2, 97, 161) and ids.dtype == torch.int64 and 0 <= ids.min() and ids.max() < 150
    assert torch.equal(segment(picture, net=model), paint_classes(ids))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 517), (200, 60)])
def test_takes_any_size_and_flat_pictures(name, size, net):
    assert segment(torch.full((1, 3, *size), 0.5), net=net(name)).shape == (1, 3, *size)


@pytest.mark.parametrize("name", ["upernet", "upernet_swin", "segformer", "oneformer"])
def test_equals_the_post_processing_of_transformers(name, net):
    import transformers

    family = "OneFormer" if name == "oneformer" else "Segformer"
    kind = getattr(transformers, f"{family}ImageProcessorPil", None) or getattr(transformers, f"{family}ImageProcessor")
    try:
        post_process = kind.post_process_semantic_segmentation
    except ImportError as error:  # some releases have it behind torchvision, which nothing else here needs
        pytest.skip(str(error).strip().splitlines()[0])
    picture, model = soft_picture(97, 161), net(name)
    pixels = pixels_of(model, picture, (128, 224))
    words = {"task_inputs": torch.tensor([[*SEMANTIC, *[0] * 70]])} if name == "oneformer" else {}
    with torch.no_grad():
        raw = model.model(pixel_values=pixels, **words)
    expected = post_process(None, raw, target_sizes=[(97, 161)])[0]
    output = segment_ids(picture, model)[0]
    assert torch.equal(output, expected) and len(output.unique()) > 1


@pytest.mark.parametrize("name", ["mask2former", "oneformer"])
def test_masks_are_summed_by_how_likely_each_is_of_a_class(name, net):
    model = net(name)
    pixels = pixels_of(model, soft_picture(64, 96), (128, 192))
    words = {"task_inputs": torch.tensor([[*SEMANTIC, *[0] * 70]])} if name == "oneformer" else {}
    with torch.no_grad():
        raw = model.model(pixel_values=pixels, **words)
        output = class_scores(model, pixels)
    likely = raw.class_queries_logits[0].softmax(-1)
    assert likely.shape[-1] == 151  # nothing is the last
    expected = sum(
        likely[query, :150, None, None] * raw.masks_queries_logits[0, query].sigmoid()
        for query in range(likely.shape[0])
    )
    assert torch.allclose(output[0], expected, rtol=0, atol=1e-5 * float(expected.max()))


def test_mask2former_equals_transformers_where_its_masks_already_have_the_size_it_forces(net):
    """Its post-processing makes masks of 384 x 384 of all; masks that are so stay as they are."""
    import transformers

    model = net("mask2former")
    generator = torch.Generator().manual_seed(0)
    raw = SimpleNamespace(
        class_queries_logits=torch.randn(1, 12, 151, generator=generator) * 4,
        masks_queries_logits=F.interpolate(torch.randn(1, 12, 9, 9, generator=generator) * 4, (384, 384)),
    )
    model.model.forward = lambda pixel_values: raw
    ids = best_classes(class_scores(model, torch.zeros(1, 3, 32, 32)), 97, 161)
    processor = transformers.Mask2FormerImageProcessor
    try:
        expected = processor().post_process_semantic_segmentation(raw, target_sizes=[(97, 161)])[0]
    except (ImportError, NameError) as error:
        pytest.skip(f"transformers' post-processing needs torchvision: {error}")
    assert torch.equal(ids[0], expected) and len(expected.unique()) > 3


def test_oneformer_is_told_the_task_in_clip_tokens(net):
    inputs = {}
    model = net("oneformer")
    forward = model.model.forward

    def look(**words: Tensor):
        inputs.update(words)
        return forward(**words)

    model.model.forward = look
    segment_ids(soft_picture(30, 40, count=1), model)
    tokens = inputs["task_inputs"]
    assert tokens.shape == (1, 77) and tokens[0, :8].tolist() == [49406, 518, 10549, 533, 29119, 1550, 49407, 0]


@pytest.mark.parametrize("size", [(32, 48), (97, 161), (7, 5)])
def test_classes_in_parts_are_those_of_all_at_once(size):
    scores = torch.randn(2, 150, 32, 48, generator=torch.Generator().manual_seed(0))
    whole = F.interpolate(scores, size, mode="bilinear") if size != (32, 48) else scores
    assert torch.equal(best_classes(scores, *size), whole.argmax(1))


def test_of_equal_classes_the_first_is_taken():
    assert best_classes(torch.zeros(1, 150, 4, 4), 9, 9).max() == 0


def test_the_folder_says_at_which_size_the_net_sees(tiny_folder, tmp_path):
    folder = Path(shutil.copytree(tiny_folder("segformer"), tmp_path / "net"))
    sizes = []
    for config, expected in ((None, (512, 1024)), ({"size": {"height": 256, "width": 256}}, (256, 512))):
        if config is not None:
            (folder / "preprocessor_config.json").write_text(json.dumps(config))
        model = load_model(folder, "segmentation")
        model.model.register_forward_pre_hook(
            lambda module, args, kwargs: sizes.append(tuple(kwargs["pixel_values"].shape[2:])), with_kwargs=True
        )
        segment_ids(soft_picture(60, 120), model)
        assert sizes[-1] == expected


def test_other_classes_are_refused_with_what_the_folder_has(tmp_path):
    pytest.importorskip("transformers", reason="writes a folder of a transformers model")
    write_tiny("segformer", tmp_path, num_labels=3, id2label={0: "road", 1: "car", 2: "sky"})
    model = load_model(tmp_path, "segmentation")
    with pytest.raises(ValueError, match=r"this segformer knows 3 classes \(road, car, sky, ...\); ade20k has 150"):
        segment(soft_picture(9, 9), net=model)


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_finds_nearly_the_same(name, net):
    picture = soft_picture(60, 80)
    full = segment_ids(picture, net(name))
    with torch.backends.mkldnn.flags(enabled=False):  # with AMX its sums are coarser, and a random net's classes close
        half = segment_ids(picture.half(), net(name).bfloat16())
    assert half.shape == full.shape and 0 <= half.min() and half.max() < 150
    # which of its random masks wins hangs on the last digit
    assert name in ("mask2former", "oneformer") or (full == half).float().mean() > 0.8


def test_refuses_a_bad_image_and_a_net_for_something_else(net):
    with pytest.raises(ValueError, match="divide 8-bit values by 255"):
        segment_ids(torch.full((1, 3, 8, 8), 255.0), net("segformer"))
    with pytest.raises(ValueError, match="the net is a Identity"):
        segment(soft_picture(9, 9), net=torch.nn.Identity())
    with pytest.raises(ValueError, match="needs net"):
        segment(soft_picture(9, 9))
