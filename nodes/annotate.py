"""From an image to a condition image: one node for every annotator of the registry that needs no weights."""

from __future__ import annotations

from typing import Any

from zeroctl_core.annotators import ANNOTATORS, Annotator
from zeroctl_core.annotators.hint_size import RESOLUTIONS
from zeroctl_core.annotators.pixels import over_white
from zeroctl_core.annotators.resolution import at_resolution

from .host.schema import ComfyNode, NodeOutput, io, option, schema
from .host.units import check_image


def _input(param: Any) -> Any:
    kind = io.Int if isinstance(param.default, int) else io.Float
    return option(
        kind, param.name, default=param.default, min=param.min, max=param.max, step=param.step, tooltip=param.help
    )


def _node(annotator: Annotator) -> type[ComfyNode]:
    class Annotate(ComfyNode):
        @classmethod
        def define_schema(cls) -> io.Schema:
            return schema(
                node_id=cls.__name__,
                display_name=annotator.title,
                category="zeroctl/annotate",
                description=annotator.summary,
                search_aliases=[annotator.name, "preprocessor", "edge", "controlnet"],
                inputs=[
                    io.Image.Input(
                        "image",
                        tooltip="The picture to annotate. A batch is annotated picture by picture; alpha is laid "
                        "over white.",
                    ),
                    *(_input(param) for param in annotator.params),
                    io.Int.Input(
                        "resolution",
                        default=512,
                        min=0,
                        max=RESOLUTIONS[1],
                        step=8,
                        tooltip="Pixels of the short side to annotate at, 64 or more; 0 keeps the picture's size. "
                        "Use the short side of the picture that you generate.",
                    ),
                ],
                outputs=[
                    io.Image.Output(
                        display_name="condition", tooltip="The condition image for ZeroctlControl: white on black."
                    )
                ],
            )

        @classmethod
        def execute(cls, image: Any, resolution: int = 512, **params: Any) -> NodeOutput:
            picture = over_white(check_image(image, channels=(3, 4)))
            return NodeOutput(annotator(at_resolution(picture, resolution), **params).movedim(1, -1))

    Annotate.__name__ = Annotate.__qualname__ = "Zeroctl" + "".join(
        part.capitalize() for part in annotator.name.split("_")
    )
    return Annotate


NODES = [_node(annotator) for annotator in ANNOTATORS.values() if annotator.kind == "image"]
