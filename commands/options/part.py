"""A donor's part, its place and what it stands behind: `inject`, `bridge-train`."""

from __future__ import annotations

from typing import Annotated

import typer

PartOption = Annotated[
    str,
    typer.Option("--from", help="A bank and a piece of it: llama:ffn.3, llama:heads.1."),
]
LayerOption = Annotated[int, typer.Option("--layer", min=0, help="The block of the target.")]
AlignOption = Annotated[
    str | None,
    typer.Option("--align", help="A map of `abi bridge-align --between` to take as the way in."),
]
