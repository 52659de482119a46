"""Spell the tokens of one backbone in those of another, and say how much of a text that covers.

Example: abi tokenize-align --from ref-gpt2 --to ref-llama --data python
"""

from __future__ import annotations

from typing import Annotated

from commands.options import NameOption, Replace, described_by
from commands.session import Session
from transplant.validation import Bounds


@described_by("workflows.token_map.align_tokens")
def tokenize_align(
    session: Session,
    *,
    source: str,
    to: str,
    data: str = "prose",
    characters: Annotated[int, Bounds(1000)] = 1_000_000,
    name: NameOption = None,
    replace: Replace = False,
) -> None:
    """Spell the tokens of one backbone in those of another."""
    from transplant.tables.token_map import token_map_table
    from transplant.workflows.token_map import align_tokens

    report = align_tokens(session, source, to, data, characters, name, replace=replace)
    session.out.result(report, token_map_table(report))
