"""The embedded text encoder as the host's CLIP: weights in brackets as the host reads them, a vocabulary of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import comfy.sd
import torch
from comfy.sd1_clip import ClipTokenWeightEncoder, escape_important, token_weights, unescape_important
from comfy.supported_models_base import ClipTarget
from torch import Tensor

from zeroctl_core.demo.text import TextEncoder
from zeroctl_core.demo.words import (
    BOS,
    EOS,
    MAX_TOKENS,
    NUMBERS,
    WORDS,
    Tokens,
    nearest,
    tokenise,
    unknown_message,
    words_of,
)

from ..notices import notice

__all__ = ["clip_from"]

NAME = "zeroctl"  # of the token list in what the host passes from tokenize to encode
NEAREST = 12  # words of the model in a message about unknown ones; it has more than a hundred
TokenWeights = dict[str, list[list[tuple[Any, ...]]]]


def clip_from(text: TextEncoder) -> Any:
    """The host's CLIP around the weights of `text`, in float32: it has 110 thousand of them."""

    def encoder(dtype: torch.dtype, device: Any, model_options: Mapping[str, Any]) -> HostTextEncoder:
        module = HostTextEncoder()
        module.load_state_dict(text.state_dict())
        return module.to(device, dtype).eval().requires_grad_(False)

    return DemoCLIP(ClipTarget(Tokenizer, encoder), model_options={"dtype": torch.float32})


class DemoCLIP(comfy.sd.CLIP):
    """The host's CLIP, which refuses to stop at another layer than the last: the model was trained on that alone."""

    def clone(self, *args: Any, **options: Any) -> DemoCLIP:
        clone = DemoCLIP(no_init=True)
        clone.__dict__.update(super().clone(*args, **options).__dict__)  # the host's would be its plain class
        return clone

    def clip_layer(self, layer_idx: int) -> None:
        """Raises `ValueError`, always."""
        _refuse_layer(layer_idx)


class Tokenizer:
    """Prompts to token numbers with weights, always MAX_TOKENS of them."""

    def __init__(self, embedding_directory: Any = None, tokenizer_data: Mapping[str, Any] | None = None) -> None:
        pass  # it has no embeddings and no data; the host hands them to every tokenizer

    def tokenize_with_weights(self, text: str, return_word_ids: bool = False, **options: Any) -> TokenWeights:
        """`a (red:1.3) star` as the host reads it. Words that are left out are named in the log and the browser."""
        pairs = [(text, 1.0)] if options.get("disable_weights") else token_weights(escape_important(text), 1.0)
        segments = [(unescape_important(segment), weight) for segment, weight in pairs]
        tokens = tokenise(" ".join(segment for segment, _ in segments))
        _name_left_out(tokens)
        weight_of = [weight for segment, weight in segments for _ in words_of(segment)]
        own_weights = [weight_of[place] for place in tokens.places]
        filling = MAX_TOKENS - 1 - len(own_weights)
        weights = [1.0, *own_weights, *[1.0] * filling]
        row: list[tuple[Any, ...]] = list(zip(tokens.numbers, weights, strict=True))
        if return_word_ids:  # 0 is <bos>, <eos> and the filling
            word_ids = [0, *range(1, len(own_weights) + 1), *[0] * filling]
            row = [(*pair, word_id) for pair, word_id in zip(row, word_ids, strict=True)]
        return {NAME: [row]}

    def untokenize(self, row: Sequence[tuple[Any, ...]]) -> list[tuple[Any, str]]:
        return [(token, WORDS[token[0]]) for token in row]

    def state_dict(self) -> dict[str, Tensor]:
        return {}


class HostTextEncoder(ClipTokenWeightEncoder, TextEncoder):
    """Our text encoder under the host's calling convention. The host's class weights a token by moving its vector
    away from that of the empty prompt."""

    special_tokens = {"start": NUMBERS[BOS], "end": NUMBERS[EOS], "pad": NUMBERS[EOS]}
    disable_offload = True  # it has layers of torch, which the host can only move as a whole

    @property
    def dtypes(self) -> set[torch.dtype]:
        return {self.token_embedding.weight.dtype}

    def encode(self, rows: list[list[int]]) -> tuple[Tensor, None]:
        """Token numbers -> (context [rows, MAX_TOKENS, 64] and no pooled output)."""
        return self(torch.tensor(rows, device=self.token_embedding.weight.device)), None

    def encode_token_weights(self, tokens: TokenWeights) -> Any:
        return super().encode_token_weights(tokens[NAME])

    def set_clip_options(self, options: Mapping[str, Any]) -> None:
        if options.get("layer") is not None:
            _refuse_layer(options["layer"])

    def reset_clip_options(self) -> None:
        pass  # nothing can be set

    def load_sd(self, weights: Mapping[str, Tensor]) -> Any:
        return self.load_state_dict(weights, strict=False)


def _refuse_layer(layer: int) -> None:
    raise ValueError(
        f"CLIP Set Last Layer asks for the layer {layer}; the embedded model was trained on the whole text encoder "
        "only. Remove the node CLIP Set Last Layer, or bypass it."
    )


def _name_left_out(tokens: Tokens) -> None:
    if tokens.unknown:
        words = nearest(tokens.unknown)[:NEAREST]
        text = f"{unknown_message(tokens, words)}, and more: the info of Load Demo Model has all its words."
        notice("Demo model: unknown words", text)
    if tokens.cut:
        notice(
            "Demo model: the prompt is too long",
            f"cut off: {', '.join(tokens.cut)}. "
            f"The embedded model reads the first {MAX_TOKENS - 2} words that it knows.",
        )
