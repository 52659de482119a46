"""Hold objectives of calibration, controls, shapes or a move and its ceiling against one another.

Example: abi ablate controls --module python@ref-gpt2 --to ref-gpt2-b --seeds 3
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.options.ablate import ABLATED, AblateOptions
from commands.options.move import (
    MOVE,
    DomainData,
    Method,
    ModuleOption,
    PairingData,
    PairOptions,
    TargetOption,
)
from commands.options.shared import EVAL_TOKENS, EvalTokens, parse_sources
from commands.session import Session
from transplant.files.results import write_json
from transplant.files.writable import check_writable


def ablate(
    session: Session,
    *,
    what: Annotated[str, typer.Argument(help=f"What to ablate: one of {', '.join(ABLATED)}.")],
    module: ModuleOption,
    to: TargetOption,
    own: AblateOptions,
    data: PairingData = "prose",
    domain_data: DomainData = None,
    method: Method = MOVE.method,
    pairs: PairOptions,
    eval_tokens: EvalTokens = EVAL_TOKENS,
    out: Annotated[Path | None, typer.Option(help="A file for the JSON.")] = None,
) -> None:
    """Hold objectives, controls, shapes, or a move and its ceiling against one another."""
    from transplant.tables.ablation import ablation_table, ceiling_table, shapes_table
    from transplant.tables.sources import with_sources
    from transplant.workflows.move.ablation import SIDE_BY_SIDE, Sizes, ablation_report
    from transplant.workflows.move.ceiling import ceiling_report
    from transplant.workflows.move.shape_ablation import SHAPES, shapes_report
    from transplant.workflows.move.trials import Trials
    from transplant.workflows.move.whole import WholeMove

    if out is not None:
        check_writable(out)
    own.check_read_by(what)
    config = pairs.fit(method, session.seed)
    move, seeds = WholeMove(session, module, to, data, domain_data, config), own.seeds
    if what == "shapes":
        report = shapes_report(move, eval_tokens, own.chosen or tuple(SHAPES), seeds or Sizes.seeds)
        shown = shapes_table
    elif what == "ceiling":
        report, shown = ceiling_report(Trials(move, own.native, eval_tokens)), ceiling_table
    else:
        sizes = Sizes(
            objectives=own.chosen or SIDE_BY_SIDE,
            modules=Sizes.modules if own.modules is None else tuple(own.modules.split(",")),
            steps=own.steps, tokens=own.tokens or Sizes.tokens, seeds=seeds or Sizes.seeds,
        )  # fmt: skip
        trials = Trials(move.start(), own.native, eval_tokens)
        report = ablation_report(trials, what, sizes, parse_sources(own.also_eval))
        shown = ablation_table
    if out is not None:
        write_json(out, report)
    session.out.result(report, with_sources(shown(report), report))
