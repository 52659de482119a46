"""Write a hosted module, linear map or LoRA as files that others load, with a model card.

Example: abi export python@ref-llama ./python-llama --as transformers --with-backbone --code
Example: abi export law@ref-llama ./law-lora --as lora --push me/law-lora
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.session import Session


def export(
    session: Session,
    name: Annotated[str, typer.Argument(help="What is hosted: NAME@BACKBONE.")],
    out: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folder to be; it must not be there.")
    ],
    form: Annotated[
        str,
        typer.Option(
            "--as",
            help="transformers: a folder that AutoModelForCausalLM loads; lora: one that PEFT "
            "loads, of a LoRA or of a linear map of the last layer; safetensors: plain tensors "
            "and their equation.",
        ),
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
    push: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER/NAME",
            help="Send the folder to this repository of the hub, too; a new one is private.",
        ),
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="With --push: a new repository is visible to all.")
    ] = False,
) -> None:
    """Write a hosted module, linear map or LoRA as files that others load."""
    from transplant.tables.export import export_table

    report = session.export(
        name, out, form=form, with_backbone=with_backbone, code=code,
        with_token_counts=with_token_counts, push=push, public=public,
    )  # fmt: skip
    session.out.result(report, export_table(report))
