"""Settings of uncertainty and routing: no torch here, so that the command line can read them."""

from __future__ import annotations

from dataclasses import dataclass

from transplant.errors import InputError

METHODS = ("auto", "dropout", "perturb", "ensemble")
UNCERTAINTIES = ("entropy", "predictive_entropy", "mutual_information")
"""The columns of metrics that a route can go by."""
BUDGET = 0.01
"""Nats per token that documents may lose through a route, where they get worse."""


@dataclass(frozen=True, kw_only=True)
class UqConfig:
    """How uncertainty is measured."""

    method: str = "auto"
    """One of METHODS; auto: dropout where the model has any, else perturb."""
    members: int = 8
    """Dropout masks, or perturbed versions."""
    scale: float = 0.05
    """Size of a perturbation, as a share of the weights."""
    ensemble: tuple[str, ...] = ()
    """Further hosted models: with the model itself they are the members."""
    bins: int = 15
    """Of the reliability diagram."""
    window: int = 512
    """Tokens that are read at once."""
    eval_tokens: int = 20_000
    """Held-out tokens to measure on."""

    def __post_init__(self) -> None:
        """Checks every field.

        Raises:
            InputError: a field outside its range, or an ensemble that is not meant.
        """
        if self.method not in METHODS:
            raise InputError("`method`", expected=f"one of {', '.join(METHODS)}", found=self.method)
        if (self.method == "ensemble") != bool(self.ensemble):
            raise InputError(
                "`ensemble`", expected="models, with `method='ensemble'`",
                found=", ".join(self.ensemble) or "none",
            )  # fmt: skip
        for name, least in (("members", 2), ("bins", 1), ("window", 2), ("eval_tokens", 64)):
            if getattr(self, name) < least:
                raise InputError(f"`{name}`", expected=f">= {least}", found=getattr(self, name))
        if not self.scale > 0:
            raise InputError("`scale`", expected="> 0", found=self.scale)
