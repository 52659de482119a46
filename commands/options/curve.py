"""Whether a move is measured over budgets of domain text, and how: `transfer`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from transplant.errors import InputError
from transplant.files.writable import check_writable

if TYPE_CHECKING:
    from commands.session import Session
    from transplant.workflows.move.whole import WholeMove

Curve = Annotated[
    str | None,
    typer.Option(
        help="Budgets of domain text, as 0,4k,32k: recovered at each by the moved module, a random "
        "one and one trained from scratch. Nothing is stored."
    ),
]


@dataclass(frozen=True, kw_only=True)
class CurveOptions:
    """The options of a curve; without `curve` there is none."""

    curve: Curve = None
    seeds: Annotated[int, typer.Option(min=1, help="Of --curve: seeds of all drawn.")] = 1
    steps: Annotated[
        int | None, typer.Option(min=1, help="Of --curve: gradient steps at most.")
    ] = None
    out: Annotated[
        Path | None, typer.Option(help="Of --curve: folder for plot and JSON; default: here.")
    ] = None

    def show(
        self, session: Session, move: WholeMove, native: str | None, eval_tokens: int,
        budgets: tuple[int, ...],
    ) -> None:  # fmt: skip
        """Measures a curve, writes plot and JSON, and prints the table."""
        from transplant.pictures.curve import write_curve
        from transplant.tables.curve import curve_sheet
        from transplant.workflows.move.budget_curve import curve_report
        from transplant.workflows.move.trials import Trials

        trials = Trials(move.start(), native, eval_tokens)
        report = curve_report(trials, budgets, self.seeds, self.steps)
        report["files"] = write_curve(self.out or Path(), report)
        session.out.result(report, curve_sheet(report))

    def refuse(self, expected: str) -> None:
        """Refuses a curve where there is none to be had.

        Raises:
            InputError: it was asked for.
        """
        if self.curve is not None:
            raise InputError("--curve is of a module's move", expected=expected)

    def budgets(self, others: object = None) -> tuple[int, ...] | None:
        """Its budgets in tokens, where its files can be written; None where there is no curve.

        Args:
            others: sources to evaluate on as well, which a curve does not.

        Raises:
            InputError: no list of budgets, or options of a curve without one.
            StorageError: the folder may not be written to.
            TransplantError: what draws the picture is not installed.
        """
        from transplant.pictures.figures import require_matplotlib

        if self.curve is not None and others:
            raise InputError("a curve is of one source", expected="--curve or --also-eval")
        if self.curve is not None:
            budgets = parse_budgets(self.curve)
            require_matplotlib()
            check_writable(self.out or Path(), folder=True)
            return budgets
        if (self.seeds, self.steps, self.out) != (1, None, None):
            raise InputError("--seeds, --steps and --out belong to a curve", expected="--curve too")
        return None


def parse_budgets(text: str) -> tuple[int, ...]:
    """Turns `--curve` into numbers of tokens, ascending: 0,4k,32k is 0, 4,000 and 32,000."""
    try:
        budgets = {
            int(float(part[:-1]) * 1000) if part.lower().endswith("k") else int(part)
            for part in text.replace(" ", "").split(",")
        }
    except ValueError as error:
        raise InputError("--curve", expected="a list as 0,4k,32k", found=text) from error
    if min(budgets) < 0 or max(budgets) == 0:
        raise InputError("--curve", expected="budgets from 0 up, one of them above", found=text)
    return tuple(sorted(budgets))
