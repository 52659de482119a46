"""Compare BASIS with PEFT's adapters: one budget, one order of the text, a search of rates each.

Example: abi basis compare --backbone ref-gpt2 --domain python --rank 8 --out comparison
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.options.basis import AdaptOptions
from commands.options.shared import DomainText
from commands.session import Session
from transplant.files.writable import check_writable


def basis_compare(
    session: Session,
    backbone: Annotated[str, typer.Option(help="The backbone: a registry name, folder or hub id.")],
    domain: Annotated[str, typer.Option(help="What it is adapted to.")],
    out: Annotated[
        Path, typer.Option(help="A folder for cells, report and plot; it is continued.")
    ],
    recipe: AdaptOptions,
    data: DomainText = None,
    forget: Annotated[str, typer.Option(help="Other text, for forgetting.")] = "prose",
    layers: Annotated[
        str, typer.Option(help="all, ends of names as q_proj,v_proj, or a regular expression.")
    ] = "all",
    rank: Annotated[
        int, typer.Option(min=1, help="Of the LoRA whose parameters are the budget.")
    ] = 8,
    methods: Annotated[
        str, typer.Option(help="Some of the methods, as basis,lora,eva; default: all.")
    ] = "",
    seeds: Annotated[int, typer.Option(min=1, help="Runs at the chosen rate.")] = 3,
    eval_tokens: Annotated[
        int, typer.Option("--eval-tokens", min=64, help="Held-out tokens of each text.")
    ] = 20_000,
) -> None:
    """Compare BASIS with PEFT's adapters and full fine-tuning at one budget."""
    from transplant.pictures.adapters import write_comparison
    from transplant.pictures.figures import require_matplotlib
    from transplant.tables.basis_compare import compare_table
    from transplant.workflows.basis.compare.job import CompareJob, run_compare

    require_matplotlib()
    check_writable(out, folder=True)
    job = CompareJob(
        backbone=backbone, domain=domain, data=data, forget=forget, layers=layers, rank=rank,
        methods=tuple(filter(None, methods.split(","))), seeds=seeds, eval_tokens=eval_tokens,
        out=out, config=recipe.config(session.seed),
    )  # fmt: skip
    report = run_compare(session, job)
    report["files"] = write_comparison(out, report)
    session.out.result(report, compare_table(report))
