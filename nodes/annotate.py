"""From an image to a condition image: one node for every annotator of the registry, and one for all of them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from zeroctl_core.annotators import ANNOTATORS, Annotator
from zeroctl_core.annotators.params import Value
from zeroctl_core.annotators.pictures.resolution import at_resolution, mask_at
from zeroctl_core.annotators.settings_text import parse_settings

from .host.annotators.annotated import annotate_batch, read_picture
from .host.annotators.doubts import say_doubts, say_if_empty, say_if_lost, say_if_stretched
from .host.annotators.folders import first_folder
from .host.annotators.inputs import (
    CATEGORY,
    condition_output,
    description,
    download_input,
    model_input,
    resolution_input,
    setting_input,
)
from .host.annotators.nets import load_folders, load_networks
from .host.inputs import check_choice, check_mask
from .host.live.small import keep_last
from .host.preview import preview
from .host.schema import ComfyNode, NodeOutput, io, schema

RESOLUTION = 512
"""The default. The node for all leaves `AT_OWN_SIZE` at their own size there: nobody has asked for another."""

AT_OWN_SIZE = [name for name, annotator in ANNOTATORS.items() if not annotator.resizable]

ALPHA = {
    "white": "alpha is laid over white",
    "black": "what is transparent is black: nothing is there",
    "drawing": "alpha is laid over white, and white lines on it are drawn in black",
}
"""What the tooltip of a picture says of its alpha."""

log = logging.getLogger("zeroctl")


def condition_of(
    annotator: Annotator,
    image: Any,
    settings: Mapping[str, Value],
    *,
    mask: Any,
    resolution: int,
    model: str,
    download: bool,
) -> Tensor:
    """The condition image [B, H, W, 3]. Everything is checked before a network is loaded."""
    annotator.check(**settings)
    if mask is not None or annotator.kind == "masked":
        mask = check_mask(mask, "drawn" if annotator.reads_mask else "to be drawn anew")
        say_if_stretched(annotator.title, mask, image)
        image = mask[..., None] if annotator.reads_mask else image
    # the paper of light lines is dark
    paper = "black" if settings.get("polarity") == "light_on_dark" else annotator.transparent
    picture = read_picture(image, annotator.takes, paper)
    picture = at_resolution(picture, resolution, in_floats=annotator.takes == "depth")
    hole = mask_at(mask, picture) if annotator.kind == "masked" else None
    if hole is not None:
        say_if_empty(annotator.title, hole)
        say_if_lost(annotator.title, mask, hole)
    height, width = picture.shape[2:]
    pixels = annotator.seen_pixels(height, width, **settings)
    network = annotator.network(**settings)
    load = None
    if annotator.task:
        load = partial(load_folders, {annotator.task: model}, download, pixels)
    elif network is not None:
        load = partial(load_networks, [network], download, pixels)

    def run(part: slice, pictures: Tensor, nets: Sequence[nn.Module]) -> Tensor:
        mask_of_part = None if hole is None else hole[part].to(pictures.device)
        return annotator.draw(pictures, mask=mask_of_part, net=nets[0] if nets else None, **settings)

    parts = annotate_batch(annotator.name, picture, run, load=load, needs=annotator.needs)
    condition = annotator.finished(torch.cat(parts), **settings)
    say_doubts(annotator, picture, condition, **settings)
    return condition.movedim(1, -1)


def _node(annotator: Annotator) -> type[ComfyNode]:
    class Annotate(ComfyNode):
        @classmethod
        def define_schema(cls) -> io.Schema:
            alpha = ALPHA[annotator.transparent]
            picture = io.Image.Input(
                annotator.takes,
                tooltip=f"The picture to annotate. A batch is annotated picture by picture; {alpha}.",
            )
            mask = io.Mask.Input("mask", tooltip="1 where the picture is to be drawn anew; one for all, or one each.")
            drawing = io.Mask.Input(
                "mask", optional=True, tooltip="A drawn mask: where it is connected it is the drawing, not the picture."
            )
            return schema(
                node_id=cls.__name__,
                display_name=annotator.title,
                category=CATEGORY,
                description=description(annotator),
                search_aliases=aliases_of(annotator),
                inputs=[
                    picture,
                    *([mask] if annotator.kind == "masked" else []),
                    *([model_input(annotator.task)] if annotator.task else []),
                    *(setting_input(param, annotator.networks) for param in annotator.params if not param.added),
                    resolution_input(RESOLUTION if annotator.resizable else 0),
                    *(
                        [download_input(network=annotator.networks.get("", ""))]
                        if annotator.networks or annotator.task
                        else []
                    ),
                    *([drawing] if annotator.reads_mask else []),
                    *(setting_input(param) for param in annotator.params if param.added),
                ],
                outputs=[condition_output(annotator.summary)],
            )

        @classmethod
        def execute(
            cls, mask: Any = None, resolution: int = 512, model: str = "", download: bool = False, **settings: Any
        ) -> NodeOutput:
            image = settings.pop(annotator.takes)
            keep_last(image)
            condition = condition_of(
                annotator, image, settings, mask=mask, resolution=resolution, model=model, download=download
            )
            return NodeOutput(condition, ui=preview(condition, cls))

    Annotate.__name__ = Annotate.__qualname__ = annotator.node_id
    return Annotate


class ZeroctlAnnotate(ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroctlAnnotate",
            display_name="Annotate",
            category=CATEGORY,
            description="Any annotator by name, to try one after another. Settings that are not named have their "
            "defaults; each annotator also has a node of its own with all of them.",
            search_aliases=["aio preprocessor", "preprocessor", "annotator"],
            inputs=[
                io.Image.Input(
                    "image", tooltip="The picture to annotate; alpha is laid over white, of maps over black."
                ),
                io.Combo.Input("annotator", options=list(ANNOTATORS), default="canny", tooltip="What to draw."),
                resolution_input(
                    RESOLUTION,
                    "Pixels of the short side to annotate at, 64 or more; 0 keeps the picture's size. At "
                    f"{RESOLUTION}, the default, {', '.join(AT_OWN_SIZE[:-1])} and {AT_OWN_SIZE[-1]} keep it, too: "
                    "their pixels are not to be mixed before they are read. Use the short side of the picture that "
                    "you generate.",
                ),
                io.String.Input(
                    "settings",
                    default="",
                    tooltip="Settings by name, such as low=50, high=150; the names are those of the annotator's node.",
                ),
                download_input(),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="For inpaint: where to draw anew. For scribble: the drawing, instead of the picture.",
                ),
            ],
            outputs=[
                condition_output(),
            ],
        )

    @classmethod
    def execute(
        cls, image: Any, annotator: str, resolution: int, settings: str, download: bool, mask: Any = None
    ) -> NodeOutput:
        entry = ANNOTATORS[check_choice("annotator", annotator, ANNOTATORS)]
        if mask is None and entry.kind == "masked":
            raise ValueError(f"{annotator} needs a mask: connect one.")
        if mask is not None and not takes_mask(entry):
            takers = [name for name, other in ANNOTATORS.items() if takes_mask(other)]
            raise ValueError(f"{annotator} has no use for a mask. Disconnect it; {' and '.join(takers)} take one.")
        if resolution == RESOLUTION and annotator in AT_OWN_SIZE:
            log.info("[zeroctl] Annotate: %s is read at its own size; another resolution resizes it first", annotator)
            resolution = 0
        condition = condition_of(
            entry,
            image,
            parse_settings(entry, settings),
            mask=mask,
            resolution=resolution,
            model=first_folder(entry.task) if entry.task else "",
            download=download,
        )
        return NodeOutput(condition, ui=preview(condition, cls))


def aliases_of(annotator: Annotator) -> list[str]:
    """What people type who look for it: a search compares with one alias at a time, so whole phrases."""
    own = [annotator.name, *annotator.aliases]
    return [*own, *(f"{name} preprocessor" for name in own), "preprocessor", "annotator", "controlnet"]


def takes_mask(annotator: Annotator) -> bool:
    return annotator.kind == "masked" or annotator.reads_mask


NODES = [*(_node(annotator) for annotator in ANNOTATORS.values() if not annotator.own_node), ZeroctlAnnotate]
