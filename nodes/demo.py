"""The embedded model, and scenes of the world that it was trained on: a workflow that needs no file."""

from __future__ import annotations

import torch
from torch import Tensor

from zeroctl_core.demo.captions import caption
from zeroctl_core.demo.conditions import CONDITIONS
from zeroctl_core.demo.rendering import render
from zeroctl_core.demo.scene import scenes
from zeroctl_core.train.ranges import check_number, check_seed

from .host.demo.loading import demo_fingerprint, describe_demo, load_demo
from .host.inputs import check_choice
from .host.schema import LARGEST_SEED, ComfyNode, NodeOutput, io, option, schema

SPLITS = ["held_out", "train"]
MOST_SCENES = 1024
AT_ONCE = 64  # a rendering holds a dozen maps a scene


class ZeroctlDemoModel(ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroctlDemoModel",
            display_name="Load Demo Model",
            category="zeroctl/demo",
            description="A small diffusion model that comes with this pack: it draws one to three things on a "
            "plain background in seconds on a CPU. Its controls are in Load ControlNet (strict) as zeroctl/...",
            search_aliases=["tiny model", "embedded model", "test checkpoint", "load checkpoint"],
            inputs=[],
            outputs=[
                io.Model.Output(display_name="model", tooltip="For KSampler and all that changes a MODEL."),
                io.Clip.Output(
                    display_name="clip",
                    tooltip="For CLIP Text Encode. It reads prompts such as "
                    '"a cat left of a red ball on a yellow background".',
                ),
                io.Vae.Output(display_name="vae", tooltip="For VAE Decode and VAE Encode."),
                io.String.Output(display_name="info", tooltip="Vocabulary, token limit and sizes."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls) -> str:
        return demo_fingerprint()

    @classmethod
    def execute(cls) -> NodeOutput:
        model, clip, vae = load_demo()
        return NodeOutput(model, clip, vae, describe_demo(model))


class ZeroctlDemoScene(ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroctlDemoScene",
            display_name="Demo Scene",
            category="zeroctl/demo",
            description="Draws scenes of the demo model's world, 192x192 pixels: one to three coloured shapes, with "
            "caption, mask and a condition image. The pictures of the other things that the model was trained on are "
            "not part of this pack.",
            search_aliases=["procedural image", "test image", "condition image"],
            inputs=[
                option(
                    io.Int,
                    "seed",
                    default=0,
                    min=0,
                    max=LARGEST_SEED,
                    control_after_generate=True,
                    tooltip="Which scene. The same seed always gives the same scene.",
                ),
                io.Combo.Input(
                    "split",
                    options=SPLITS,
                    default="held_out",
                    tooltip="train: scenes to train on. held_out: others, to test with, which no seed of train gives.",
                ),
                io.Combo.Input(
                    "condition",
                    options=list(CONDITIONS),
                    default="edges",
                    tooltip="Which condition image. Use the control of the same name, where there is one.",
                ),
                io.Int.Input(
                    "count",
                    default=1,
                    min=1,
                    max=MOST_SCENES,
                    optional=True,
                    tooltip="How many scenes, as lists. More than one are for Training Data: other nodes run once for "
                    "each of them.",
                ),
            ],
            # lists, not batches: texts have no batch, and a picture would lose its caption
            outputs=[
                io.Image.Output(display_name="image", is_output_list=True, tooltip="The picture of the scene."),
                io.Mask.Output(display_name="mask", is_output_list=True, tooltip="1 where things are."),
                io.Image.Output(
                    display_name="condition", is_output_list=True, tooltip="For the image input of ControlNet Control."
                ),
                io.String.Output(
                    display_name="caption",
                    is_output_list=True,
                    tooltip="What the picture shows, in the model's words.",
                ),
            ],
        )

    @classmethod
    def execute(cls, seed: int, split: str, condition: str, count: int | None = None) -> NodeOutput:
        check_choice("split", split, SPLITS)
        check_choice("condition", condition, CONDITIONS)
        check_seed("seed", seed)
        count = 1 if count is None else count
        check_number("count", count, 1 <= count <= MOST_SCENES, f"1 to {MOST_SCENES}")
        world = scenes(seed, 0, count, "train" if split == "train" else "held_out", shapes_only=True)
        images, masks, drawings = [], [], []
        for start in range(0, count, AT_ONCE):
            rendering = render(world[start : start + AT_ONCE])
            images.append(rendering.image.movedim(1, -1))
            masks.append(rendering.mask[:, 0])
            drawings.append(CONDITIONS[condition](rendering).movedim(1, -1))
        return NodeOutput(_rows(images), _rows(masks), _rows(drawings), [caption(one) for one in world])


def _rows(batches: list[Tensor]) -> list[Tensor]:
    """Every picture as a batch of one."""
    return [row[None] for row in torch.cat(batches)]


NODES = [ZeroctlDemoModel, ZeroctlDemoScene]
