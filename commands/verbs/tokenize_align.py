"""Spell the tokens of one backbone in those of another, and say how much of a text that covers.

Example: abi tokenize-align --from ref-gpt2 --to ref-llama --data python
"""

from __future__ import annotations

from typing import Annotated

import typer

from commands.options.shared import NameOption, Replace
from commands.output import table
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
    from transplant.alignment.token_map import KINDS
    from transplant.workflows.token_map import align_tokens

    report = align_tokens(session, source, to, data, characters, name, replace=replace)
    shown = table(f"tokens of {to} in those of {source}", "", "tokens", f"text ({data})")
    for kind in (*KINDS[1:], KINDS[0]):
        shown.add_row(kind, f"{report['tokens'][kind]:.1%}", f"{report['text'][kind]:.1%}")
    shown.add_section()
    shown.add_row("positions that pair", "", f"{report['pairs']['paired_share']:.1%}")
    shown.add_row("characters a token", "", f"{report['pairs']['characters_per_token']['to']:.2f}")
    session.out.result(report, shown)
