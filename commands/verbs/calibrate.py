"""Fit a new interface for a module, so that it works in another backbone.

Example: abi calibrate --module python@ref-gpt2 --to ref-llama --objective lm --tokens 32000
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from commands.options import AlsoEval, Explain, Field, NameOption, Replace, described_by
from commands.options.move import MoveRecipe, PairingData
from commands.options.objective import Objective
from commands.session import Session

FILES = Field(spelled="--from-activations", metavar="DONOR TARGET")


@described_by("workflows.transfer.job.TransferJob")
def calibrate(
    session: Session,
    *,
    module: str,
    to: str,
    objective: Objective,
    data: PairingData = "prose",
    domain_data: str | None = None,
    config: MoveRecipe,
    text_free: bool = False,
    general: str | None = None,
    name: NameOption = None,
    activations: Annotated[tuple[Path, Path] | None, FILES] = None,
    domain_activations: Path | None = None,
    also_eval: AlsoEval = None,
    explain: Explain = False,
    replace: Replace = False,
) -> None:
    """Fit a new interface for a module, so that it works in another backbone.

    Args:
        activations: pair rows of two `capture()` files of the same text, in place of --pair-data.
        domain_activations: the target's rows on the domain's text, for the gain.
    """
    from transplant.tables.calibration import calibrated_table
    from transplant.tables.sources import with_sources
    from transplant.tables.tried import explained
    from transplant.workflows.move.calibration import run_calibration

    move = session.move(
        module, to, pair_on=data, domain_data=domain_data, config=config, name=name,
        text_free=text_free, general=general,
    )  # fmt: skip
    report = run_calibration(
        move, objective, paired=activations, domain=domain_activations,
        also_eval=also_eval, replace=replace,
    )  # fmt: skip
    shown = calibrated_table(report)
    if explain:
        shown = explained(shown, report.get("tried", ()))
    session.out.result(report, with_sources(shown, report))
