"""The training of a core as it is asked for; no torch here."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Annotated, Any

from transplant.backbones.layercake.sizes import SIZES, CoreSize
from transplant.training.config import PretrainConfig
from transplant.validation import Bounds, Length, check_bounds, one_of


@dataclass(frozen=True, kw_only=True)
class CoreJob:
    """What to train, on what."""

    size: str
    """One of 2M, 5M, 48M, 150M, 350M; see `cores()`."""
    baseline: bool = False
    """Train the matched plain transformer, not the core."""
    name: str | None = None
    """Name in the library; None for the size, or <size>-plain."""
    data: str = "prose"
    """Text: prose, python, a file, a folder, a data set."""
    max_chars: Annotated[int | None, Bounds(1)] = None
    """Characters of the text that are used; None for all of it."""
    tokenizer: str | None = None
    """A backbone whose tokenizer it takes; None: one is trained."""
    vocab: Annotated[int, Bounds(300)] = 4096
    """Entries of a tokenizer that is trained."""
    window: Length = 512
    """Tokens per window."""
    config: PretrainConfig = field(default_factory=PretrainConfig)
    """The recipe."""
    eval_tokens: Annotated[int, Bounds(64)] = 100_000
    """Held-out tokens to evaluate on."""

    def __post_init__(self) -> None:
        """Checks every field.

        Raises:
            InputError: a field outside its range, or an unknown size.
        """
        check_bounds(self)
        one_of(self, "size", SIZES)

    @property
    def shape(self) -> CoreSize:
        """The size, with its widths."""
        return SIZES[self.size]

    @property
    def called(self) -> str:
        """The name in the library."""
        return self.name or (f"{self.size}-plain" if self.baseline else self.size)

    @property
    def recipe(self) -> dict[str, Any]:
        """What a core and its baseline must have in common to be compared."""
        shared = ("size", "data", "max_chars", "window")
        return {**{key: getattr(self, key) for key in shared}, **dataclasses.asdict(self.config)}
