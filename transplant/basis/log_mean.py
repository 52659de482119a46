"""The usual size of a row, whatever a few rows are: a streamed geometric mean."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from transplant.ranks import Ranks


class LogMean:
    """The mean over rows of the logarithm of their root mean square, without rows of zeros."""

    def __init__(self) -> None:
        self._seen = torch.zeros(2, dtype=torch.float64)  # the sum, and of how many

    def update(self, rows: Tensor) -> None:
        """Adds rows [rows, width]."""
        sizes = torch.linalg.vector_norm(rows, dim=1).double() / math.sqrt(rows.shape[1])
        logs = sizes[sizes > 0].log()
        self._seen += torch.tensor([float(logs.sum()), len(logs)], dtype=torch.float64)

    def add_up(self, ranks: Ranks) -> None:
        """Adds what the other processes have seen."""
        ranks.sum(self._seen)

    def mean(self) -> float:
        """Its exponential, a geometric mean; 0 where all rows were zero."""
        total, count = self._seen.tolist()
        return math.exp(total / count) if count else 0.0
