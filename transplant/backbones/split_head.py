"""The head in pieces: the logits of some rows at some of the vocabulary, never all of them.

Gemma's vocabulary has 262,144 tokens: the logits of 1,024 rows would take a gigabyte in single
precision. What is wanted of them (a loss, its gradient, the best few) can be summed up piece by
piece; a piece that stays in the processor's cache is faster as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from transplant.backbones.token_vectors import TokenVectors

TOKENS = 8192  # of the vocabulary in a piece
ROWS = 512  # of a block
CACHED = 1 << 19  # logits of some rows of a piece: 2 MB of them in single precision stay in a cache


@dataclass(frozen=True)
class SplitHead:
    """A head whose logit of one token needs no other token: a matrix, a bias, a soft cap."""

    weight: Tensor  # [vocab, d_model]
    bias: Tensor | None = None  # [vocab]
    soft_cap: float | None = None
    """c of c tanh(logits / c), as Gemma 2 has it."""

    @property
    def vocab(self) -> int:
        """The number of logits."""
        return len(self.weight)

    @property
    def is_linear(self) -> bool:
        """Whether logits are linear in the hidden state, up to the bias."""
        return self.soft_cap is None

    def pieces(self) -> Iterator[slice]:
        """The vocabulary, piece by piece."""
        for start in range(0, self.vocab, TOKENS):
            yield slice(start, min(start + TOKENS, self.vocab))

    def products(self, hidden: Tensor, tokens: slice) -> Tensor:
        """hidden @ weight' [rows, tokens], without bias and cap, in the type of the weights."""
        return functional.linear(hidden.to(self.weight.dtype), self.weight[tokens])

    def logits(self, hidden: Tensor, tokens: slice, weight: Tensor | None = None) -> Tensor:
        """The logits [rows, tokens] of hidden [rows, d_model], in the type of the weights.

        Args:
            hidden: last hidden states.
            tokens: the piece.
            weight: its rows of the matrix, where they were rounded to another type.
        """
        weight = self.weight[tokens] if weight is None else weight
        bias = None if self.bias is None else self.bias[tokens].to(weight.dtype)
        logits = functional.linear(hidden.to(weight.dtype), weight, bias)
        return logits if self.soft_cap is None else capped(logits, self.soft_cap)

    def at(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        """The logits [rows, k] of each row's own tokens [rows, k], in single precision.

        Args:
            hidden: last hidden states [rows, d_model].
            tokens: of the vocabulary.
        """
        logits = TokenVectors.of(self.weight, tokens).products(hidden.float())
        if self.bias is not None:
            logits = logits + self.bias[tokens].float()
        return logits if self.soft_cap is None else capped(logits, self.soft_cap)

    def change_at(self, hidden: Tensor, added: Tensor, tokens: Tensor) -> Tensor:
        """By how much `at` [rows, k] changes where something is added to the hidden states.

        Args:
            hidden: last hidden states [rows, d_model].
            added: to these [rows, d_model].
            tokens: of each row [rows, k].
        """
        if self.is_linear:
            return TokenVectors.of(self.weight, tokens).products(added.float())
        return self.at(hidden.float() + added.float(), tokens) - self.at(hidden, tokens)

    def of_all(self, hidden: Tensor) -> Tensor:
        """The logits [rows, vocab] of hidden [rows, d_model], in single precision at least."""
        logits = self._wide_products(hidden)
        if self.bias is not None:
            logits = logits + self.bias.float()
        return logits if self.soft_cap is None else capped(logits, self.soft_cap)

    def change_of_all(self, hidden: Tensor, added: Tensor) -> Tensor:
        """By how much `of_all` [rows, vocab] changes where something is added.

        Args:
            hidden: last hidden states [rows, d_model].
            added: to these [rows, d_model].
        """
        if self.is_linear:
            return self._wide_products(added)
        return self.of_all(hidden.float() + added.float()) - self.of_all(hidden)

    def _wide_products(self, hidden: Tensor) -> Tensor:
        wide = torch.promote_types(self.weight.dtype, torch.float32)
        return (hidden.to(wide) @ self.weight.to(wide).T).float()

    def of(self, tokens: Tensor) -> SplitHead:
        """The head of these tokens alone [tokens]."""
        bias = None if self.bias is None else self.bias[tokens]
        return SplitHead(self.weight[tokens], bias, self.soft_cap)

    def to(self, device: torch.device | str) -> SplitHead:
        """The same on another device."""
        bias = None if self.bias is None else self.bias.to(device)
        return SplitHead(self.weight.to(device), bias, self.soft_cap)


def capped(logits: Tensor, soft_cap: float) -> Tensor:
    """c tanh(logits / c)."""
    return soft_cap * torch.tanh(logits / soft_cap)


class LogSum:
    """log sum exp over the vocabulary [rows], and one logit of each row, piece by piece.

    Args:
        labels: the tokens whose logits are picked out [rows].
    """

    def __init__(self, labels: Tensor) -> None:
        self.labels = labels
        self.total = torch.full(labels.shape, -torch.inf, device=labels.device)
        self.picked = torch.zeros(labels.shape, device=labels.device)

    def add(self, logits: Tensor, tokens: slice) -> None:
        """Takes in the logits [rows, tokens] of a piece, in any type."""
        self.total = torch.logaddexp(self.total, log_sums(logits))
        pick_labels(self.picked, logits, self.labels, tokens)

    @property
    def losses(self) -> Tensor:
        """-log p of each row's label, in nats [rows]."""
        return self.total - self.picked


def log_sums(logits: Tensor) -> Tensor:
    """log sum exp over the tokens of a piece [rows], in single precision at least.

    Args:
        logits: [rows, tokens] in any type.
    """
    return torch.cat([at_least_single(logits[rows]).logsumexp(1) for rows in cached_rows(logits)])


def at_least_single(logits: Tensor) -> Tensor:
    """The same in single precision, or as they are where they are more exact."""
    return logits if logits.dtype == torch.float64 else logits.float()


def cached_rows(logits: Tensor) -> Iterator[slice]:
    """Rows of a piece [rows, tokens], some at a time.

    On a processor they are so few that they stay in its cache: several passes over them take half
    as long or less.
    """
    rows, tokens = logits.shape
    size = CACHED // tokens if logits.device.type == "cpu" else rows
    for start in range(0, rows, max(1, size)):
        yield slice(start, start + max(1, size))


def pick_labels(picked: Tensor, logits: Tensor, labels: Tensor, tokens: slice) -> None:
    """Writes the logits of those labels that lie in a piece to `picked` [rows]."""
    place = labels - tokens.start
    inside = (place >= 0) & (place < logits.shape[1])
    found = logits.gather(1, place.clamp(0, logits.shape[1] - 1)[:, None])[:, 0]
    picked.copy_(torch.where(inside, found.to(picked.dtype), picked))
