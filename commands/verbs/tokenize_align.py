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
    from commands.artifacts import describe, refuse_existing
    from commands.corpora import read_documents_of
    from commands.tokens import map_name, measure_pairs
    from transplant.alignment.token_map import KINDS, map_tokens

    stored = name or map_name(source)
    if not replace:
        refuse_existing(session, ("tokens",), stored, to, None)
    donor, target = session.load_backbone(source), session.load_backbone(to)
    documents = read_documents_of(session, data, characters, characters)
    found = map_tokens(donor.tokenizer, target.tokenizer, target.vocab_size)
    counts, pairs = measure_pairs(donor, target, documents)
    results = {
        "tokens": found.coverage(),
        "text": found.coverage(counts),
        "pairs": pairs,
    }
    made = session.made(corpus=data, source=donor.name)
    facts = {
        "made": made,
        "results": results,
        "parents": {"source_tokenizer": donor.tokenizer_sha256},
    }
    manifest = describe("tokens", stored, None, target, None, **facts)
    entry = session.registry.write(manifest, found.as_tensors(), replace=replace)
    report = {"name": f"{stored}@{to}", "from": source, "to": to, "data": data, **results}
    shown = table(f"tokens of {to} in those of {source}", "", "tokens", f"text ({data})")
    for kind in (*KINDS[1:], KINDS[0]):
        shown.add_row(kind, f"{results['tokens'][kind]:.1%}", f"{results['text'][kind]:.1%}")
    shown.add_section()
    shown.add_row("positions that pair", "", f"{pairs['paired_share']:.1%}")
    shown.add_row("characters a token", "", f"{pairs['characters_per_token']['to']:.2f}")
    session.out.result({**report, "path": str(entry.path)}, shown)
