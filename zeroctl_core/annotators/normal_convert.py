"""A normal map in another order of axes."""

from __future__ import annotations

from torch import Tensor

from .annotator import annotator
from .colors.normal_orders import reorder
from .params import Choice
from .pictures.pixels import from_uint8, to_uint8

PARAMS = (
    Choice(
        "source",
        ("opengl", "directx", "bae", "midas_cn10"),
        help="The order of the map that comes in. opengl (red right, green top, blue front): Blender, Unity, MoGe. "
        "directx (green bottom): Unreal, 3ds Max. bae (red left, green top): ControlNet 1.1. midas_cn10 (red front, "
        "green top, blue left): ControlNet 1.0.",
    ),
    Choice(
        "target",
        ("bae", "midas_cn10", "opengl", "directx"),
        help="The order to make. bae is what control_v11p_sd15_normalbae expects, midas_cn10 what control_sd15_normal "
        "of ControlNet 1.0 expects.",
    ),
)


@annotator(
    "normal_convert",
    union_type=4,
    net_names=("normal",),
    params=PARAMS,
    title="Convert Normals",
    aliases=("normal map",),
    summary="Brings a normal map from OpenGL or DirectX colours to those that the normal ControlNets expect, or back. "
    "Black background stays black.",
    resizable=False,
    transparent="black",
)
def normal_convert(image: Tensor, source: str, target: str) -> Tensor:
    """The same normals with other colours, exact in 8 bits: see `normal_orders.reorder`.

    [B, 3, H, W] in 0..1  ->  [B, 3, H, W] in 0..1, 8 bits deep
    """
    return from_uint8(reorder(to_uint8(image), source, target), image.device)
