"""Configuration of a measurement of perplexity."""

from __future__ import annotations

from dataclasses import dataclass

from transplant.errors import InputError


@dataclass(frozen=True, kw_only=True)
class PerplexityConfig:
    """What is read to measure a perplexity."""

    window: int = 512
    """Tokens that are read at once; a model with fewer positions reads fewer."""
    eval_tokens: int = 40_000
    """Tokens to measure on, spread over the documents."""
    whole: bool = False
    """Whether every document of the text is read; else its held-out split."""

    def __post_init__(self) -> None:
        """Checks every field.

        Raises:
            InputError: a field outside its range.
        """
        for name in ("window", "eval_tokens"):
            if getattr(self, name) < 2:
                raise InputError(f"`{name}`", expected=">= 2", found=getattr(self, name))
