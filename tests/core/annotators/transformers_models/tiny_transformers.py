"""Folders of tiny transformers models with random weights, one of every class that annotators take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

CLASSES = 150
"""Of ADE20K."""


def _dinov2(**more: Any) -> Any:
    import transformers

    return transformers.Dinov2Config(
        hidden_size=24,
        num_hidden_layers=4,
        num_attention_heads=2,
        mlp_ratio=2,
        image_size=56,
        patch_size=14,
        out_indices=[1, 2, 3, 4],
        **more,
    )


def _depth_anything(**more: Any) -> Any:
    import transformers

    return transformers.DepthAnythingConfig(
        backbone_config=_dinov2(reshape_hidden_states=False),
        reassemble_hidden_size=24,
        neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=8,
        head_hidden_size=4,
        **more,
    )


def _depth_anything_metric() -> Any:
    return _depth_anything(depth_estimation_type="metric", max_depth=20)


def _dpt() -> Any:
    import transformers

    return transformers.DPTConfig(
        hidden_size=24,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=64,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=8,
    )


def _dpt_hybrid() -> Any:
    import transformers

    return transformers.DPTConfig(
        is_hybrid=True,
        backbone_config={
            "model_type": "bit",
            "global_padding": "same",
            "layer_type": "bottleneck",
            "depths": [1, 1, 1],
            "embedding_size": 32,
            "hidden_sizes": [32, 64, 96],
            "num_groups": 8,
            "out_features": ["stage1", "stage2", "stage3"],
            "embedding_dynamic_padding": True,
        },
        backbone_featmap_shape=[1, 96, 4, 4],
        hidden_size=24,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=64,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[32, 64, 24, 24],
        fusion_hidden_size=8,
    )


def _dpt_dinov2() -> Any:
    import transformers

    return transformers.DPTConfig(
        backbone_config=_dinov2(reshape_hidden_states=False, apply_layernorm=False),
        hidden_size=24,
        backbone_out_indices=None,
        neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=256,  # what the projection is made for, whatever the configuration says
        add_projection=True,
    )


def _zoedepth() -> Any:
    import transformers

    return transformers.ZoeDepthConfig(
        backbone_config=transformers.BeitConfig(
            hidden_size=24,
            num_hidden_layers=4,
            num_attention_heads=2,
            intermediate_size=32,
            image_size=64,
            patch_size=16,
            use_relative_position_bias=True,
            reshape_hidden_states=False,
            out_features=["stage1", "stage2", "stage3", "stage4"],
        ),
        backbone_hidden_size=24,
        neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=8,
        bottleneck_features=8,
        num_relative_features=8,
        bin_embedding_dim=8,
        num_attractors=[2, 2, 2, 1],
        bin_configurations=[{"n_bins": 8, "min_depth": 0.001, "max_depth": 10.0, "name": "nyu"}],
    )


def _upernet() -> Any:
    import transformers

    return transformers.UperNetConfig(
        backbone_config=transformers.ConvNextConfig(
            hidden_sizes=[8, 12, 16, 24],
            depths=[1, 1, 1, 1],
            out_features=["stage1", "stage2", "stage3", "stage4"],
        ),
        hidden_size=16,
        auxiliary_channels=8,
        auxiliary_in_channels=16,
        num_labels=CLASSES,
    )


def _swin() -> Any:
    import transformers

    return transformers.SwinConfig(
        embed_dim=12,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=4,
        image_size=64,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )


def _upernet_swin() -> Any:
    import transformers

    return transformers.UperNetConfig(
        backbone_config=_swin(),
        hidden_size=16,
        auxiliary_channels=8,
        auxiliary_in_channels=48,
        num_labels=CLASSES,
    )


def _upernet_on(backbone: str) -> Any:
    import transformers

    stages = [f"stage{number}" for number in (1, 2, 3, 4)]
    ones = dict(depths=[1, 1, 1, 1], out_features=stages)
    config = {
        "focalnet": lambda: transformers.FocalNetConfig(
            embed_dim=8, hidden_sizes=[16, 32, 64, 64], image_size=64, use_layerscale=True, **ones
        ),
        "pvt_v2": lambda: transformers.PvtV2Config(
            hidden_sizes=[8, 16, 32, 64], num_attention_heads=[1, 1, 2, 2], mlp_ratios=[2, 2, 2, 2], **ones
        ),
    }[backbone]()
    return transformers.UperNetConfig(
        backbone_config=config,
        hidden_size=16,
        auxiliary_channels=8,
        auxiliary_in_channels=config.hidden_sizes[2],
        num_labels=CLASSES,
    )


def _segformer() -> Any:
    import transformers

    return transformers.SegformerConfig(
        hidden_sizes=[8, 8, 16, 16],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=16,
        num_labels=CLASSES,
    )


def _mask2former() -> Any:
    import transformers

    return transformers.Mask2FormerConfig(
        backbone_config=_swin(),
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_feedforward_dim=32,
        encoder_layers=1,
        decoder_layers=2,
        dim_feedforward=32,
        num_attention_heads=2,
        num_queries=12,
        num_labels=CLASSES,
    )


def _oneformer() -> Any:
    import transformers

    return transformers.OneFormerConfig(
        backbone_config=_swin(),
        num_queries=12,
        conv_dim=32,
        mask_dim=32,
        hidden_dim=32,
        encoder_feedforward_dim=32,
        encoder_layers=1,
        decoder_layers=2,
        dim_feedforward=32,
        num_attention_heads=2,
        is_training=False,
        num_labels=CLASSES,
    )


def _vitpose() -> Any:
    import transformers

    return transformers.VitPoseConfig(
        backbone_config=transformers.VitPoseBackboneConfig(
            hidden_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=[256, 192],
            out_indices=[2],
        ),
        num_labels=17,
    )


def _rt_detr() -> dict[str, Any]:
    import transformers

    return dict(
        backbone_config=transformers.RTDetrResNetConfig(
            embedding_size=8,
            hidden_sizes=[8, 12, 16, 24],
            depths=[1, 1, 1, 1],
            layer_type="basic",
            out_features=["stage2", "stage3", "stage4"],
        ),
        encoder_in_channels=[12, 16, 24],
        encoder_hidden_dim=16,
        encoder_ffn_dim=32,
        encoder_attention_heads=2,
        d_model=16,
        num_queries=20,
        decoder_in_channels=[16, 16, 16],
        decoder_ffn_dim=32,
        decoder_layers=2,
        decoder_attention_heads=2,
        num_denoising=0,
        num_labels=80,
    )


def _rt_detr_v1() -> Any:
    import transformers

    return transformers.RTDetrConfig(**_rt_detr())


def _rt_detr_v2() -> Any:
    import transformers

    return transformers.RTDetrV2Config(**_rt_detr())


TINY = {
    "depth_anything": ("DepthAnythingForDepthEstimation", _depth_anything),
    "depth_anything_metric": ("DepthAnythingForDepthEstimation", _depth_anything_metric),
    "dpt": ("DPTForDepthEstimation", _dpt),
    "dpt_hybrid": ("DPTForDepthEstimation", _dpt_hybrid),
    "dpt_dinov2": ("DPTForDepthEstimation", _dpt_dinov2),
    "zoedepth": ("ZoeDepthForDepthEstimation", _zoedepth),
    "upernet": ("UperNetForSemanticSegmentation", _upernet),
    "upernet_swin": ("UperNetForSemanticSegmentation", _upernet_swin),
    "upernet_focalnet": ("UperNetForSemanticSegmentation", lambda: _upernet_on("focalnet")),
    "upernet_pvt_v2": ("UperNetForSemanticSegmentation", lambda: _upernet_on("pvt_v2")),
    "segformer": ("SegformerForSemanticSegmentation", _segformer),
    "mask2former": ("Mask2FormerForUniversalSegmentation", _mask2former),
    "oneformer": ("OneFormerForUniversalSegmentation", _oneformer),
    "vitpose": ("VitPoseForPoseEstimation", _vitpose),
    "rt_detr": ("RTDetrForObjectDetection", _rt_detr_v1),
    "rt_detr_v2": ("RTDetrV2ForObjectDetection", _rt_detr_v2),
}
"""Name -> class and maker of its configuration. The names without a word after them are the model types."""

OF_TASK = {
    "depth": ("depth_anything", "depth_anything_metric", "dpt", "dpt_hybrid", "dpt_dinov2", "zoedepth"),
    "segmentation": (
        "upernet",
        "upernet_swin",
        "upernet_focalnet",
        "upernet_pvt_v2",
        "segformer",
        "mask2former",
        "oneformer",
    ),
    "pose": ("vitpose",),
    "people": ("rt_detr", "rt_detr_v2"),
}
"""Task -> names in `TINY`; the first is written where only the task is given."""


def tiny_model(name: str, **changes: Any) -> Any:
    """The model with random but deterministic weights, in eval mode; `changes` are set on its configuration."""
    import transformers

    kind, configure = TINY[OF_TASK[name][0] if name in OF_TASK else name]
    config = configure()
    for key, value in changes.items():
        setattr(config, key, value)
    torch.manual_seed(0)
    model = getattr(transformers, kind)(config)
    # fresh weights are so small that every picture would look the same, and zero where layers begin as nothing
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for key, weight in sorted(model.named_parameters()):
            if weight.ndim > 1:
                fan_in = weight[0].numel()
                spread = 1.4
                if "class_predictor" in key:
                    spread = 12  # a class of its own for every query
                elif "mask_embed" in key:
                    spread = 4  # masks with outlines
                weight.copy_(torch.randn(weight.shape, generator=generator) * (spread / fan_in**0.5))
            elif key.endswith("bias"):
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.1)
            elif "lambda" in key or "layer_scale" in key:
                weight.fill_(0.3)
    return model.eval()


def write_tiny(name: str, folder: Path, preprocessor: dict[str, Any] | None = None, **changes: Any) -> Path:
    """Write the folder of a task or of a name in `TINY`, with a preprocessor_config.json if one is given."""
    model = tiny_model(name, **changes)
    folder = Path(folder)
    model.save_pretrained(folder)
    if preprocessor is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor), encoding="utf-8")
    return folder
