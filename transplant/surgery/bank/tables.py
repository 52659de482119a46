"""The embeddings and the head: from token ids to the residual stream, and back to logits."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class EmbeddingsRecipe:
    """What the embeddings are, but for their tensors."""

    vocab: int
    """Entries."""
    table_width: int
    """Of the table."""
    width: int
    """Of the residual stream; a projection leads there where the table has another."""
    scale: float = 1.0
    """What entries are multiplied with, as in Gemma."""
    positions: int = 0
    """Learned positions; 0 where positions come in elsewhere."""


class Embeddings(nn.Module):
    """Token ids to the residual stream that the first block reads."""

    def __init__(self, recipe: EmbeddingsRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.tokens = nn.Embedding(recipe.vocab, recipe.table_width)
        if recipe.positions:
            self.positions = nn.Embedding(recipe.positions, recipe.width)
        if recipe.table_width != recipe.width:
            self.project = nn.Linear(recipe.table_width, recipe.width, bias=False)

    def forward(self, ids: Tensor, positions: Tensor | None = None) -> Tensor:
        """ids [batch, seq] to [batch, seq, width]; positions are counted where not given."""
        recipe = self.recipe
        x = self.tokens(ids) * recipe.scale
        if recipe.table_width != recipe.width:
            x = self.project(x)
        if recipe.positions:
            if positions is None:
                positions = torch.arange(ids.shape[-1], device=ids.device)
            x = x + self.positions(positions)
        return x


@dataclass(frozen=True, kw_only=True)
class HeadRecipe:
    """What the head is, but for its tensors."""

    vocab: int
    """Logits."""
    width: int
    """Of the last hidden state, which has been through the final norm."""
    bias: bool = False
    """Whether logits have one."""
    scale: float = 1.0
    """What the hidden state is multiplied with, as in T5."""
    softcap: float | None = None
    """The bound on logits, as in Gemma 2."""


class Head(nn.Module):
    """The last hidden state to logits."""

    def __init__(self, recipe: HeadRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.out = nn.Linear(recipe.width, recipe.vocab, bias=recipe.bias)

    def forward(self, h_last: Tensor) -> Tensor:
        """[..., width] to [..., vocab]."""
        logits = self.out(h_last * self.recipe.scale)
        cap = self.recipe.softcap
        return logits if cap is None else cap * torch.tanh(logits / cap)
