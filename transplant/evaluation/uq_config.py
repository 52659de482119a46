"""Settings of uncertainty and routing: no torch here, so that the command line can read them."""

from __future__ import annotations

from dataclasses import dataclass

from transplant.errors import InputError
from transplant.validation import one_of

MEMBERS = 8
"""Members, where no number is asked for."""
SCALE = 0.05
"""Size of a perturbation, where none is asked for."""
METHODS = ("auto", "dropout", "perturb", "ensemble")
UNCERTAINTIES = ("entropy", "predictive_entropy", "mutual_information")
"""The columns of metrics that a route can go by."""
BUDGET = 0.01
"""Nats per token that documents may lose through a route, where they get worse."""


@dataclass(frozen=True, kw_only=True)
class UqConfig:
    """How uncertainty is measured."""

    method: str = "auto"
    """Members: auto, dropout, perturb or ensemble. auto is ensemble where one is given, dropout
    where the model has any, else perturb."""
    members: int | None = None
    """Dropout masks or perturbations; None for 8."""
    scale: float | None = None
    """Size of a perturbation, as a share of the weights; None for 0.05."""
    ensemble: tuple[str, ...] = ()
    """Another model that is a member, beside the model itself: a backbone (a name, a folder or a
    hub id) or what is hosted on one; repeatable."""
    bins: int = 15
    """Of the reliability diagram."""
    window: int = 512
    """Tokens that are read at once."""
    eval_tokens: int = 20_000
    """Held-out tokens to measure on."""

    def __post_init__(self) -> None:
        """Checks every field.

        Raises:
            InputError: a field outside its range, an ensemble that is not meant, or what the
                members have no use for.
        """
        one_of(self, "method", METHODS)
        if self.method not in (("auto", "ensemble") if self.ensemble else METHODS[:3]):
            raise InputError(
                "`ensemble`", expected="models, with `method='ensemble'`",
                found=", ".join(self.ensemble) or "none",
            )  # fmt: skip
        for name, least in (("members", 2), ("bins", 1), ("window", 2), ("eval_tokens", 64)):
            if (value := getattr(self, name)) is not None and value < least:
                raise InputError(f"`{name}`", expected=f">= {least}", found=value)
        if self.scale is not None and not self.scale > 0:
            raise InputError("`scale`", expected="> 0", found=self.scale)
        if self.ensemble:
            self._refuse("an `ensemble`", "members", "scale")
        if self.method == "dropout":
            self._refuse("`method='dropout'`", "scale")

    def check_dropout(self) -> None:
        """Refuses a size of perturbations where a model is found to have dropout.

        Raises:
            InputError: one was asked for.
        """
        self._refuse("a model with dropout", "scale")

    def _refuse(self, says: str, *names: str) -> None:
        if idle := [f"`{name}`" for name in names if getattr(self, name) is not None]:
            raise InputError(
                f"{says} has no use for {', '.join(idle)}",
                expected="members that are perturbed, by `method='perturb'`"
                if idle == ["`scale`"] else "the model itself and those that are named",
            )  # fmt: skip
