"""Hold objectives of calibration, controls, shapes or a move and its ceiling against one another.

Example: abi ablate controls --module python@ref-gpt2 --to ref-gpt2-b --seeds 3
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from commands.options import (
    EVAL_TOKENS,
    EvalTokens,
    Field,
    Fields,
    described_by,
    named_paths,
    parse_names,
)
from commands.options.move import PairingData, PairRecipe
from commands.session import Session
from transplant.files.results import write_json
from transplant.files.writable import check_writable
from transplant.workflows.move.ablation_job import AblationJob

NAMES = Field(parse=parse_names)


@described_by("workflows.transfer.job.TransferJob")
def ablate(
    session: Session,
    *,
    module: str,
    to: str,
    own: Annotated[
        AblationJob,
        Fields(
            "steps tokens seeds native",
            what=Field(argument=True),
            only=NAMES,
            modules=NAMES,
            also_eval=named_paths("also_eval"),
        ),
    ],
    data: PairingData = "prose",
    domain_data: str | None = None,
    config: PairRecipe,
    eval_tokens: EvalTokens = EVAL_TOKENS,
    out: Annotated[Path | None, Field(help="A file for the JSON.")] = None,
) -> None:
    """Hold objectives, controls, shapes, or a move and its ceiling against one another."""
    from transplant.tables.ablation import ablation_table, ceiling_table, shapes_table
    from transplant.tables.sources import with_sources
    from transplant.workflows.move.ablate import run_ablation

    if out is not None:
        check_writable(out)
    move = session.move(module, to, pair_on=data, domain_data=domain_data, config=config)
    report = run_ablation(move, own, eval_tokens)
    if out is not None:
        write_json(out, report)
    tables = {"shapes": shapes_table, "ceiling": ceiling_table}
    shown = tables.get(own.what, ablation_table)(report)
    session.out.result(report, with_sources(shown, report))
