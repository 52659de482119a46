"""A budget curve as it is asked for, checked before anything is loaded; no torch here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from transplant.errors import InputError
from transplant.files.writable import check_writable
from transplant.validation import Bounds, Count, check_bounds


@dataclass(frozen=True, kw_only=True)
class CurveJob:
    """Over which budgets a move is measured, and where that is written; None for no curve."""

    budgets: tuple[int, ...] | None = None
    """Budgets of domain text, in tokens: recovered at each by the moved module, a random one and
    one trained from scratch. Nothing is stored."""
    seeds: Count = 1
    """Of `curve`: seeds of all that is drawn."""
    steps: Annotated[int | None, Bounds(1)] = None
    """Of `curve`: gradient steps at most; None for the objective's own."""
    chunks: Annotated[float | None, Bounds(0)] = None
    """Of `curve`: weight of the loss on chunks of text between characters at which tokens of donor
    and target end; None for 0."""
    out: Path | None = None
    """Of `curve`: the folder for plot and JSON, and for what each budget and seed has measured: a
    curve that was stopped goes on there. None for the working directory."""

    def __post_init__(self) -> None:
        """Refuses what no curve has.

        Raises:
            InputError: it names the parameters.
        """
        check_bounds(self)
        asked = (self.seeds, self.steps, self.chunks, self.out)
        if self.budgets is None and asked != (1, None, None, None):
            raise InputError(
                "`seeds`, `steps`, `chunks` and `out` belong to a curve", expected="`curve` too"
            )
        if self.budgets is not None and (not self.budgets or max(self.budgets) == 0):
            raise InputError("`curve`", expected="budgets, one of them above 0", found=self.budgets)

    def refuse(self, **idle: object) -> None:
        """Refuses options that a curve has no use for; without budgets there is no curve.

        Args:
            idle: what was asked for, by parameter.

        Raises:
            InputError: it names the first of them.
        """
        asked = [name for name, value in idle.items() if value and self.budgets is not None]
        if asked:
            raise InputError(
                f"`{asked[0]}` has no use beside a curve", expected=f"`curve` or `{asked[0]}`",
                hint="a curve stores nothing, and is drawn of shares alone",
            )  # fmt: skip

    def check(self, others: object = None) -> None:
        """Refuses, before the work, what its files could not be written after.

        Args:
            others: sources to evaluate on as well, which a curve does not.

        Raises:
            InputError: there are such sources.
            StorageError: the folder may not be written to.
            TransplantError: what draws the picture is not installed.
        """
        from transplant.pictures.figures import require_matplotlib

        if others:
            raise InputError("a curve is of one source", expected="`curve` or `also_eval`")
        require_matplotlib()
        check_writable(self.out or Path(), folder=True)
