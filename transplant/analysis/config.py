"""How much of a file of activations an analysis reads."""

from __future__ import annotations

from dataclasses import dataclass

from transplant.validation import Count, at_least, check_bounds


@dataclass(frozen=True, kw_only=True)
class AnalysisConfig:
    """Bounds on what is read."""

    rows: int = 20_000
    """Rows that spectra of states are of, evenly spread over the file."""
    windows: Count = 64
    """Windows that the roles of heads are measured on."""
    window_tokens: int = 256
    """Tokens of each, at most: attention is kept for all pairs of them."""
    paired_rows: int = 1_000
    """Paired rows of held-out documents that layers are compared on: all pairs of them count."""

    def __post_init__(self) -> None:
        """Check that there is enough of everything.

        Raises:
            InputError: it names the field.
        """
        at_least(self, 16, "rows", "paired_rows")
        check_bounds(self)
        at_least(self, 2, "window_tokens")
