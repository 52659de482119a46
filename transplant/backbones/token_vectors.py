"""The head's vectors at each row's own tokens: products with them and sums of them.

Written down, the vectors of a few dozen tokens of each position are [rows, likely, d_model], which
are gigabytes that every pass writes and reads. Positions share most of their tokens. So the vectors
of the tokens that occur are taken once, a product is a matrix product that is sampled at the tokens
of each row, and a weighted sum is an embedding bag.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

DENSE = 8
"""Up to so many times a row's own tokens may occur at all for all of them to be multiplied: a whole
product is about so much faster for each number than a sampled one."""


@dataclass(frozen=True)
class TokenVectors:
    """Vectors of tokens, and which of them each row looks at."""

    vectors: Tensor  # [occurring, d_model]
    places: Tensor  # of each row's tokens among them [rows, likely]

    @classmethod
    def of(cls, head: Tensor, tokens: Tensor, dtype: torch.dtype = torch.float32) -> TokenVectors:
        """Those of a head [vocab, d_model], at tokens [rows, likely], computed with in `dtype`."""
        occurring, places = tokens.unique(return_inverse=True)
        return cls(head.index_select(0, occurring).to(dtype), places)

    @classmethod
    def of_batches(cls, head: Tensor, batches: Sequence[Tensor]) -> list[TokenVectors]:
        """The same for several batches, which share one copy of the vectors."""
        found = torch.zeros(len(head), dtype=torch.bool, device=head.device)
        for tokens in batches:
            found[tokens.flatten()] = True
        vectors = head.index_select(0, found.nonzero()[:, 0]).float()
        place = found.cumsum(0) - 1
        return [cls(vectors, place[tokens]) for tokens in batches]

    def products(self, states: Tensor) -> Tensor:
        """u_v x at each row's tokens v [rows, likely], with x its row of states [rows, d_model]."""
        if len(self.vectors) <= DENSE * self.places.shape[1]:
            return (states @ self.vectors.T).gather(1, self.places)
        if self.vectors.device.type != "cpu":
            return (self._written_down() @ states[:, :, None])[:, :, 0]
        sampled = torch.sparse.sampled_addmm(self._pattern(), states, self.vectors.T, beta=0.0)
        return sampled.values().unflatten(0, self.places.shape)

    def sums(self, weights: Tensor) -> Tensor:
        """sum_v w_v u_v over each row's tokens [rows, d_model], for weights [rows, likely]."""
        return functional.embedding_bag(
            self.places, self.vectors, per_sample_weights=weights, mode="sum"
        )

    def _pattern(self) -> Tensor:
        """Zeros [rows, occurring] at the tokens of each row, in their order."""
        rows, likely = self.places.shape
        starts = torch.arange(rows + 1) * likely
        with warnings.catch_warnings():  # that sparse matrices by row may still change in torch
            warnings.simplefilter("ignore", UserWarning)
            return torch.sparse_csr_tensor(
                starts, self.places.flatten(), self.vectors.new_zeros(rows * likely),
                (rows, len(self.vectors)),
            )  # fmt: skip

    def _written_down(self) -> Tensor:
        return self.vectors.index_select(0, self.places.flatten()).unflatten(0, self.places.shape)
