"""Write a hosted module as files that others load, with a model card.

Example: abi export python@ref-llama ./python-llama --as transformers --with-backbone --code
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.session import Session


def export(
    session: Session,
    name: Annotated[str, typer.Argument(help="The hosted module: NAME@BACKBONE.")],
    out: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folder to be; it must not be there.")
    ],
    form: Annotated[
        str, typer.Option("--as", help="transformers: a folder that AutoModelForCausalLM loads.")
    ] = "transformers",
    with_backbone: Annotated[
        bool, typer.Option("--with-backbone", help="Copy the backbone: the folder stands alone.")
    ] = False,
    code: Annotated[
        bool, typer.Option("--code", help="Add the code, for those who do not have abi.")
    ] = False,
    with_token_counts: Annotated[
        bool,
        typer.Option("--with-token-counts", help="Tell how often each token was trained on."),
    ] = False,
) -> None:
    """Write a hosted module as files that others load."""
    from commands.render.export import export_table

    report = session.export(
        name, out, form=form, with_backbone=with_backbone, code=code,
        with_token_counts=with_token_counts,
    )  # fmt: skip
    session.out.result(report, export_table(report))
