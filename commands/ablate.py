"""Hold objectives of calibration, controls, shapes or a move and its ceiling against one another.

Example: abi ablate controls --module python@ref-gpt2 --to ref-gpt2-b --seeds 3
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from commands.move_options import (
    MOVE,
    DomainData,
    Excerpts,
    Method,
    ModuleOption,
    PairingData,
    TargetOption,
)
from commands.objective_options import Steps
from commands.options import EVAL_TOKENS, EvalTokens
from commands.output import write_json
from commands.session import Session
from transplant.errors import InputError

ABLATED = ("objectives", "controls", "shapes", "ceiling")
Only = Annotated[
    str | None, typer.Option(help="Of `objectives` and `shapes`: these alone, as kd,lm.")
]
Modules = Annotated[str, typer.Option(help="Whose modules: of donor, random, none.")]


def ablate(
    session: Session,
    what: Annotated[str, typer.Argument(help=f"What to ablate: one of {', '.join(ABLATED)}.")],
    module: ModuleOption,
    to: TargetOption,
    only: Only = None,
    modules: Modules = "donor,random,none",
    steps: Steps = None,
    tokens: Annotated[int, typer.Option(min=64, help="Domain tokens that may be read.")] = 32_000,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of all that is drawn.")] = 1,
    data: PairingData = "prose",
    domain_data: DomainData = None,
    method: Method = MOVE.method,
    excerpts: Excerpts = MOVE.excerpts,
    native: Annotated[str | None, typer.Option(help="The native module: oracle, ceiling.")] = None,
    eval_tokens: EvalTokens = EVAL_TOKENS,
    out: Annotated[Path | None, typer.Option(help="A file for the JSON.")] = None,
) -> None:
    """Hold objectives, controls, shapes, or a move and its ceiling against one another."""
    from commands.ablating import SIDE_BY_SIDE, Sizes, ablation_report, ablation_table
    from commands.ceiling import ceiling_report, ceiling_table
    from commands.moving import Move
    from commands.reused_bridge import reuse_bridge
    from commands.shapes import SHAPES, shapes_report, shapes_table
    from commands.trials import Trials

    if what not in ABLATED:
        raise InputError(f"cannot ablate {what!r}", expected=f"one of {[*ABLATED]}")
    if what == "ceiling" and (only or steps):
        raise InputError(f"a ceiling has no use for {'--only' if only else '--steps'}")
    config = dataclasses.replace(MOVE, method=method, excerpts=excerpts, seed=session.seed)
    move = Move(session, module, to, data, domain_data, config)
    chosen = tuple(only.split(",")) if only else None
    shown = ablation_table
    if what == "shapes":
        report = shapes_report(move, eval_tokens, chosen or tuple(SHAPES), seeds)
        shown = shapes_table
    elif what == "ceiling":
        report, shown = ceiling_report(Trials(move, native, eval_tokens)), ceiling_table
    else:
        sizes = Sizes(
            objectives=chosen or SIDE_BY_SIDE, modules=tuple(modules.split(",")),
            steps=steps, tokens=tokens, seeds=seeds,
        )  # fmt: skip
        reuse_bridge(move)
        report = ablation_report(Trials(move, native, eval_tokens), what, sizes)
    if out is not None:
        write_json(out, report)
    session.out.result(report, shown(report))
