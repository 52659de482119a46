"""Hold objectives of calibration, controls, shapes or a move and its ceiling against one another.

Example: abi ablate controls --module python@ref-gpt2 --to ref-gpt2-b --seeds 3
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from commands.options.move import (
    MOVE,
    Columns,
    DomainData,
    Excerpts,
    Method,
    ModuleOption,
    PairingData,
    TargetOption,
)
from commands.options.objective import Steps
from commands.options.shared import EVAL_TOKENS, AlsoEval, EvalTokens, parse_sources
from commands.output import check_writable, write_json
from commands.session import Session
from transplant.errors import InputError

ABLATED = {
    "objectives": ("only", "modules", "steps", "tokens", "seeds", "native", "also_eval"),
    "controls": ("modules", "steps", "tokens", "seeds", "native", "also_eval"),
    "shapes": ("only", "seeds"),
    "ceiling": ("native",),
}
"""Which of the options that not all of them have an ablation reads."""
Only = Annotated[
    str | None, typer.Option(help="Of `objectives` and `shapes`: these alone, as kd,lm.")
]
Modules = Annotated[
    str | None, typer.Option(help="Whose modules; default: donor,random,none.", show_default=False)
]
Native = Annotated[str | None, typer.Option(help="The native module: oracle, ceiling.")]
Tokens = Annotated[
    int | None,
    typer.Option(
        min=64, help="Domain tokens that may be read; default: 32000.", show_default=False
    ),
]
Seeds = Annotated[
    int | None,
    typer.Option(min=1, help="Seeds of all that is drawn; default: 1.", show_default=False),
]


def ablate(
    session: Session,
    what: Annotated[str, typer.Argument(help=f"What to ablate: one of {', '.join(ABLATED)}.")],
    module: ModuleOption,
    to: TargetOption,
    only: Only = None,
    modules: Modules = None,
    steps: Steps = None,
    tokens: Tokens = None,
    seeds: Seeds = None,
    data: PairingData = "prose",
    domain_data: DomainData = None,
    method: Method = MOVE.method,
    excerpts: Excerpts = MOVE.excerpts,
    columns: Columns = MOVE.columns,
    native: Native = None,
    eval_tokens: EvalTokens = EVAL_TOKENS,
    also_eval: AlsoEval = None,
    out: Annotated[Path | None, typer.Option(help="A file for the JSON.")] = None,
) -> None:
    """Hold objectives, controls, shapes, or a move and its ceiling against one another."""
    from commands.render.ablation import ablation_table, ceiling_table, shapes_table
    from commands.render.sources import with_sources
    from transplant.workflows.move.ablation import SIDE_BY_SIDE, Sizes, ablation_report
    from transplant.workflows.move.ceiling import ceiling_report
    from transplant.workflows.move.shape_ablation import SHAPES, shapes_report
    from transplant.workflows.move.trials import Trials
    from transplant.workflows.move.whole import WholeMove

    if out is not None:
        check_writable(out)
    if what not in ABLATED:
        raise InputError(f"cannot ablate {what!r}", expected=f"one of {[*ABLATED]}")
    options = {
        "only": only, "modules": modules, "steps": steps, "tokens": tokens, "seeds": seeds,
        "native": native, "also_eval": also_eval,
    }  # fmt: skip
    given = [name for name, value in options.items() if value is not None]
    if unread := [f"--{name.replace('_', '-')}" for name in given if name not in ABLATED[what]]:
        raise InputError(
            f"`ablate {what}` has no use for {', '.join(unread)}",
            expected=f"at most {', '.join(f'--{name}' for name in ABLATED[what])}",
        )
    config = dataclasses.replace(
        MOVE, method=method, excerpts=excerpts, columns=columns, seed=session.seed
    )
    move = WholeMove(session, module, to, data, domain_data, config)
    chosen = tuple(only.split(",")) if only else None
    shown = ablation_table
    if what == "shapes":
        report = shapes_report(move, eval_tokens, chosen or tuple(SHAPES), seeds or Sizes.seeds)
        shown = shapes_table
    elif what == "ceiling":
        report, shown = ceiling_report(Trials(move, native, eval_tokens)), ceiling_table
    else:
        sizes = Sizes(
            objectives=chosen or SIDE_BY_SIDE,
            modules=Sizes.modules if modules is None else tuple(modules.split(",")),
            steps=steps, tokens=tokens or Sizes.tokens, seeds=seeds or Sizes.seeds,
        )  # fmt: skip
        report = ablation_report(
            Trials(move.start(), native, eval_tokens), what, sizes, parse_sources(also_eval)
        )
    if out is not None:
        write_json(out, report)
    session.out.result(report, with_sources(shown(report), report))
