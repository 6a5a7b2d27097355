"""The text encoder: word embeddings with positions, and one transformer layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..bases.tiny import CONTEXT_DIM
from .words import MAX_TOKENS, WORDS

HEADS = 4


class TextEncoder(nn.Module):
    """Token numbers [B, MAX_TOKENS] -> context [B, MAX_TOKENS, 64], one vector a token, <eos> as the filling too."""

    def __init__(self) -> None:
        super().__init__()
        width = CONTEXT_DIM
        self.token_embedding = nn.Embedding(len(WORDS), width)
        self.position_embedding = nn.Parameter(torch.randn(MAX_TOKENS, width) * 0.1)
        self.layer = nn.TransformerEncoderLayer(
            width, HEADS, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.final_norm = nn.LayerNorm(width)
        nn.init.normal_(self.token_embedding.weight, std=0.5)

    def forward(self, numbers: Tensor) -> Tensor:
        return self.final_norm(self.layer(self.token_embedding(numbers) + self.position_embedding))
