"""Spell the tokens of one backbone in those of another, and say how much of a text that covers.

Example: abi tokenize-align --from ref-gpt2 --to ref-llama --data python
"""

from __future__ import annotations

from typing import Annotated

import typer

from commands.options.shared import NameOption, Replace
from commands.session import Session


def tokenize_align(
    session: Session,
    source: Annotated[str, typer.Option("--from", help="The backbone to spell in.")],
    to: Annotated[str, typer.Option("--to", help="The backbone whose tokens are spelled.")],
    data: Annotated[
        str, typer.Option(help="Text to count on: prose, python, a file, a folder, a data set.")
    ] = "prose",
    characters: Annotated[
        int, typer.Option(min=1000, help="Characters of that text, at most.")
    ] = 1_000_000,
    name: NameOption = None,
    replace: Replace = False,
) -> None:
    """Spell the tokens of one backbone in those of another."""
    from transplant.tables.token_map import token_map_table
    from transplant.workflows.token_map import align_tokens

    report = align_tokens(session, source, to, data, characters, name, replace=replace)
    session.out.result(report, token_map_table(report))
