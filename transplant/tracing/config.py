"""How a trace is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from transplant.errors import InputError
from transplant.validation import (
    Bounds,
    Count,
    Length,
    above,
    at_least,
    at_most,
    changed,
    check_bounds,
    one_of,
    refuse_idle,
)

INTERVENTIONS = ("mean", "zero", "noise", "resample")
METRICS = ("nll", "kl", "logit-diff")
MAX_WINDOW = 1 << 20


@dataclass(frozen=True, kw_only=True)
class TraceConfig:
    """What is put in the place of a target's value, and what is measured then."""

    intervention: str = "mean"
    """In the value's place: zero; mean, of the text that is traced; noise, normal, added to the
    value; resample, the value that another document, or window of a text of few documents, has at
    the same position."""
    metric: str = "nll"
    """Nats per token: `nll`, of the next token; `kl`, from the intact model's predictions to the
    changed one's. `logit-diff`: logit of the next token less that of the intact model's likeliest
    other token, per token."""
    documents: Count = 20
    """Held-out documents, one window of each."""
    window: Length = 128
    """Tokens of a document, from its beginning, at most."""
    noise: float = 1.0
    """Standard deviation of the noise, in standard deviations of each dimension of the value."""
    level: float = 0.95
    """Nominal coverage of the intervals over documents."""
    batch_tokens: Count = 4096
    """Tokens, padding included, that the model reads at once."""
    seed: int = 0
    """Of the partners of `resample`, of the noise and of the bootstrap."""

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            InputError: it names the field.
        """
        one_of(self, "intervention", INTERVENTIONS)
        one_of(self, "metric", METRICS)
        check_bounds(self)
        at_least(self, 0, "seed")
        at_most(self, MAX_WINDOW, "documents", "window")
        above(self, 0, "noise")
        if self.intervention != "noise":
            refuse_idle(
                f"`intervention={self.intervention!r}`", "`intervention='noise'`",
                **changed(self, "noise"),
            )  # fmt: skip
        if not 0.0 < self.level < 1.0:
            raise InputError("`level`", expected="between 0 and 1", found=self.level)
        if self.intervention == "resample" and self.documents < 2:
            raise InputError(
                "`documents`", expected="2 or more, each to stand in for another",
                found=self.documents,
            )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PrefilterConfig:
    """How far a ranking by gradients stands in for exact effects."""

    keep: Count = 48
    """Targets that are measured exactly, those of the largest estimates by gradients."""
    sample: Annotated[int, Bounds(8)] = 32
    """Targets drawn at random that are measured as well, to tell how well the estimates agree."""
    batch_tokens: Count = 512
    """Tokens that gradients are taken of at once: their activations are kept in memory."""

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            InputError: it names the field.
        """
        check_bounds(self)
