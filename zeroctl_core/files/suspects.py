"""What a file seems to be that is not a ControlNet of ours: recognised by its keys, with what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

HOST_LOADS = "load it with ComfyUI's Load ControlNet Model; ControlNet Control accepts it"
OF_MODEL = "it becomes a ControlNet with the MODEL that is sampled: load it with Load ControlNet (strict)"
HOST_LOADS_PATCH = (
    "put it into models/model_patches, load it with ComfyUI's Load Model Patch (ModelPatchLoader) and apply it to the "
    "MODEL with {node}"
)
ADVANCED_LOADS = "load it with {node} of Advanced-ControlNet; ControlNet Control accepts it"

Keys = Collection[str]


@dataclass(frozen=True)
class Suspect:
    """A kind of file, how its keys show it, and what its owner should do."""

    title: str
    looks: Callable[[Keys], bool]
    remedy: str


def _has(*names: str) -> Callable[[Keys], bool]:
    """All of these keys exist."""
    return lambda keys: all(name in keys for name in names)


def _starts(*starts: str) -> Callable[[Keys], bool]:
    """Some key starts with one of these."""
    return lambda keys: any(key.startswith(starts) for key in keys)


def _contains(*parts: str) -> Callable[[Keys], bool]:
    """Some key contains one of these."""
    return lambda keys: any(part in key for key in keys for part in parts)


def _all(*tests: Callable[[Keys], bool]) -> Callable[[Keys], bool]:
    return lambda keys: all(test(keys) for test in tests)


def _any(*tests: Callable[[Keys], bool]) -> Callable[[Keys], bool]:
    return lambda keys: any(test(keys) for test in tests)


def _ends(*ends: str) -> Callable[[Keys], bool]:
    return lambda keys: any(key.endswith(ends) for key in keys)


LORA_PARTS = ("lora_up.", "lora_down.", ".lora_A.", ".lora_B.", ".lora.up.", ".lora.down.", ".hada_w1", ".lokr_w1")

# The first that fits is named, so what contains the keys of something else comes before it.
SUSPECTS = (
    Suspect(
        "a SUPIR model (a model patch)",
        _contains("project_modules.", "mask_LQ"),
        HOST_LOADS_PATCH.format(node="Apply SUPIR Patch"),
    ),
    Suspect(
        "a difference file (the change of a ControlNet against its base model)",
        _has("difference"),
        OF_MODEL,
    ),
    Suspect(
        "a CtrLoRA",
        _contains(".lora_layer.down.", ".lora_layer.up."),
        "load it, with its base, with Load CtrLoRA Model of Advanced-ControlNet; ControlNet Control accepts it",
    ),
    Suspect(
        "a Control-LoRA",
        _any(_has("lora_controlnet"), _all(_ends(".up"), _ends(".down"), _contains("zero_convs."))),
        OF_MODEL,
    ),
    Suspect(
        "a Qwen-Image DiffSynth control (a model patch)",
        _has("controlnet_blocks.0.y_rms.weight"),
        HOST_LOADS_PATCH.format(node="Apply Qwen Image DiffSynth ControlNet"),
    ),
    Suspect(
        "a Z-Image Fun control (a model patch)",
        _any(
            _starts("control_all_x_embedder."), _all(_starts("control_layers."), _contains("after_proj", "before_proj"))
        ),
        HOST_LOADS_PATCH.format(node="Apply Z-Image Fun ControlNet"),
    ),
    Suspect(
        "a Wan Uni3C control (a model patch)",
        _has("controlnet_patch_embedding.weight"),
        HOST_LOADS_PATCH.format(node="Apply Wan Uni3C ControlNet"),
    ),
    Suspect("a HunyuanDiT ControlNet", _contains("after_proj_list."), HOST_LOADS),
    Suspect("a Qwen-Image Fun ControlNet", _has("control_blocks.0.after_proj.weight"), HOST_LOADS),
    Suspect("a Flux ControlNet (MistoLine)", _has("controlnet_blocks.0.linear.weight"), HOST_LOADS),
    Suspect(
        "a Flux ControlNet",
        _all(_starts("controlnet_blocks."), _any(_starts("double_blocks."), _has("controlnet_x_embedder.weight"))),
        HOST_LOADS,
    ),
    Suspect(
        "an SD3 ControlNet", _all(_starts("controlnet_blocks."), _starts("pos_embed_input.", "pos_embed.")), HOST_LOADS
    ),
    Suspect(
        "a Qwen-Image ControlNet",
        _all(_starts("controlnet_blocks."), _contains("transformer_blocks.0.img_mlp.")),
        HOST_LOADS,
    ),
    Suspect("a ControlNet for another kind of model", _starts("controlnet_blocks.", "control_blocks."), HOST_LOADS),
    Suspect(
        "a ControlNet-XS",
        _contains("base_to_ctrl", "ctrl_to_base", "enc_zero_convs"),
        "no ComfyUI node loads it; diffusers does",
    ),
    Suspect(
        "an Anima ControlLLLite (a model patch)",
        _starts("lllite_conditioning1.", "lllite_dit_"),
        HOST_LOADS_PATCH.format(node="Apply Anima LLLite"),
    ),
    Suspect("a ControlLLLite", _starts("lllite_"), ADVANCED_LOADS.format(node="Load Advanced ControlNet Model")),
    Suspect(
        "a SparseCtrl (AnimateDiff) net",
        _all(_contains("motion_modules."), _contains("controlnet", "input_hint_block", "zero_convs")),
        "it acts on videos of AnimateDiff: load it with Load SparseCtrl Model of Advanced-ControlNet",
    ),
    Suspect(
        "a PowerPaint net",
        _all(_starts("brushnet_"), _contains("attentions.")),
        "it replaces the decoder too: use the nodes of ComfyUI-BrushNet, which read it",
    ),
    Suspect(
        "a BrushNet",
        _starts("brushnet_"),
        "it adds to the decoder too: use the nodes of ComfyUI-BrushNet, which read it",
    ),
    Suspect(
        "a ControlNeXt net",
        _all(_starts("down_res."), _starts("mid_convs.")),
        "it adds one map and shifts the UNet's norms: use a pack made for ControlNeXt",
    ),
    Suspect("an AnimateDiff motion model", _contains("motion_modules."), "load it with an AnimateDiff loader"),
    Suspect("a T2I style adapter", _has("style_embedding"), "load it with ComfyUI's Load Style Model"),
    Suspect(
        "a T2I-Adapter",
        _any(
            _starts("adapter.body."),
            _has("body.0.in_conv.weight"),
            _all(_has("conv_in.weight"), _starts("body.0.block1.", "body.0.resnets.", "body.0.block2.")),
        ),
        "read it with load_control, as Load ControlNet (strict) does",
    ),
    Suspect("an IP-Adapter", _starts("image_proj.", "ip_adapter."), "load it with an IP-Adapter loader"),
    Suspect(
        "a LoRA",
        _any(
            _starts("lora_unet_", "lora_te"),
            _contains(*LORA_PARTS),
        ),
        "load it with ComfyUI's Load LoRA",
    ),
    Suspect(
        "an embedding (textual inversion)",
        _any(
            _starts("string_to_param."), _has("emb_params"), lambda keys: set(keys) <= {"clip_l", "clip_g", "<concept>"}
        ),
        "put it into the embeddings folder and name it in the prompt",
    ),
    Suspect(
        "a whole checkpoint without a control",
        _starts("model.diffusion_model.", "first_stage_model.", "cond_stage_model.", "conditioner.embedders."),
        "load it with ComfyUI's Load Checkpoint",
    ),
    Suspect(
        "a UNet or diffusion model without a control",
        _any(
            _all(_starts("input_blocks."), _starts("output_blocks.")),
            _all(_starts("down_blocks."), _starts("up_blocks.")),
            _starts("double_blocks.", "joint_blocks.", "transformer_blocks.", "diffusion_model."),
        ),
        "load it with ComfyUI's Load Diffusion Model",
    ),
    Suspect(
        "a VAE",
        _all(_starts("encoder.down.", "encoder.down_blocks."), _starts("decoder.")),
        "load it with ComfyUI's Load VAE",
    ),
    Suspect("a CLIP vision model", _starts("vision_model.", "visual."), "load it with ComfyUI's Load CLIP Vision"),
    Suspect(
        "a text encoder",
        _any(
            _starts("text_model.", "transformer.text_model.", "transformer.resblocks."),
            _contains("encoder.block.0.layer.0.SelfAttention."),
        ),
        "load it with ComfyUI's Load CLIP",
    ),
    Suspect(
        "an upscale model",
        _any(_starts("model.1.sub.", "body.0.rdb1.", "params_ema."), _has("conv_first.weight")),
        "load it with ComfyUI's Load Upscale Model",
    ),
)


def suspect(keys: Keys) -> Suspect | None:
    """The first kind of file that these keys look like; None when they look like none."""
    return next((kind for kind in SUSPECTS if kind.looks(keys)), None)
