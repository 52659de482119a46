"""Train an adapter inside a basis, or cut the backbone to it.

Example: abi basis adapt code@ref-gpt2 --domain python --peft ./python-lora
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.options.basis import AdaptOptions
from commands.options.shared import EVAL_TOKENS, DomainText, EvalTokens, NameOption, Replace
from commands.session import Session
from transplant.errors import InputError


def basis_adapt(
    session: Session,
    basis: Annotated[str, typer.Argument(help="The basis, as NAME@<backbone>.")],
    recipe: AdaptOptions,
    domain: Annotated[str | None, typer.Option(help="What the adapter is about.")] = None,
    data: DomainText = None,
    name: NameOption = None,
    forget: Annotated[
        str, typer.Option(help="Other text, on which forgetting is measured; none for none.")
    ] = "prose",
    peft: Annotated[
        Path | None, typer.Option(help="Write the adapter to this folder, for PEFT.")
    ] = None,
    merge: Annotated[
        str | None, typer.Option(help="Store a backbone of this name, the adapter in its weights.")
    ] = None,
    compress: Annotated[
        float | None,
        typer.Option(help="No adapter: cut the backbone to this share of its maps' parameters."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder of the cut backbone, for --compress.")
    ] = None,
    eval_tokens: EvalTokens = EVAL_TOKENS,
    replace: Replace = False,
) -> None:
    """Train C alone inside a basis: host it, hand it to PEFT, merge it; or cut the backbone."""
    from transplant.tables.basis import adapt_table, compress_table
    from transplant.workflows.basis.adapt import AdaptJob, run_adapt
    from transplant.workflows.basis.compress import CompressJob, run_compress

    if compress is not None:
        if out is None or domain is not None:
            raise InputError("--compress", expected="--out DIR beside it, and no --domain")
        cut = CompressJob(basis=basis, ratio=compress, out=out, data=data, eval_tokens=eval_tokens)
        report = run_compress(session, cut)
        session.out.result(report, compress_table(report))
        return
    if domain is None or out is not None:
        raise InputError("--domain", expected="what the adapter is about; --out is of --compress")
    job = AdaptJob(
        basis=basis, domain=domain, data=data, name=name, peft=peft, merge=merge,
        forget=None if forget == "none" else forget, eval_tokens=eval_tokens,
        config=recipe.config(session.seed),
    )  # fmt: skip
    report = run_adapt(session, job, replace=replace)
    session.out.result(report, adapt_table(report))
