"""The text encoder: word embeddings with positions, and two transformer layers, which bind colours and sides to the
nouns that they stand by."""

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
        self.token_embedding = nn.Embedding(len(WORDS), CONTEXT_DIM)
        self.position_embedding = nn.Parameter(torch.randn(MAX_TOKENS, CONTEXT_DIM) * 0.1)
        self.layer, self.second_layer = (
            nn.TransformerEncoderLayer(
                CONTEXT_DIM, HEADS, 4 * CONTEXT_DIM, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(2)
        )
        self.final_norm = nn.LayerNorm(CONTEXT_DIM)
        nn.init.normal_(self.token_embedding.weight, std=0.5)

    def forward(self, numbers: Tensor) -> Tensor:
        first = self.layer(self.token_embedding(numbers) + self.position_embedding)
        return self.final_norm(self.second_layer(first))
