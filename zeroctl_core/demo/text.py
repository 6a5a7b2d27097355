"""The text encoder: word embeddings with positions, and one transformer layer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..bases.tiny import CONTEXT_DIM
from .words import GENERAL, MAX_TOKENS, NUMBERS, WORDS

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
        return self.final_norm(self.layer(F.embedding(numbers, self.vectors()) + self.position_embedding))

    def vectors(self) -> Tensor:
        """The vector of every word of the vocabulary, [n, 64]: of a general word the mean of those it stands for."""
        own = self.token_embedding.weight
        return torch.cat(
            (own, *(own[[NUMBERS[word] for word in words]].mean(0, keepdim=True) for words in GENERAL.values()))
        )
