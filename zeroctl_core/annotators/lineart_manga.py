"""Manga line drawings without screen tones: white on black."""

from __future__ import annotations

from torch import Tensor, nn

from .annotator import annotator
from .networks.run_net import run_net


@annotator(
    "lineart_manga",
    union_type=3,
    net_names=("mangalineart", "lineartmanga", "mangaline", "lineartanime", "animelineart", "lineart"),
    networks={"": "lineart_manga"},
    title="Manga Lineart",
    aliases=("manga line art",),
    summary="White line drawing on black of a manga page, its screen tones left out, for the anime lineart ControlNet.",
    transparent="drawing",
)
def lineart_manga(image: Tensor, net: nn.Module) -> Tensor:
    """Lines as the anime lineart ControlNet takes them: the net's dark lines on white, inverted.

    [B, 3, H, W] in 0..1  ->  [B, 3, H, W], white on black, three equal channels

    Source: Manga2Anime_LineArt_Preprocessor of comfyui_controlnet_aux (lineart_anime_denoise in webui).
    """
    return (1 - run_net(net, image)).repeat(1, 3, 1, 1)
