"""Train one of the reference backbones from scratch, as the shipped ones were.

Example: abi train-reference ref-gpt2 --out my-references
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from commands.options import EvalTokens, Field, described_by
from commands.session import Session
from transplant.files.writable import check_writable
from transplant.validation import Bounds


@described_by("workflows.train.reference.train_new_reference")
def train_reference(
    session: Session,
    *,
    name: Annotated[str, Field(argument=True, help="ref-gpt2, ref-gpt2-b, ref-llama or ref-t5.")],
    out: Annotated[Path, Field(help="Folder to write to.")],
    tokens: Annotated[int | None, Bounds(1)] = None,
    max_chars: Annotated[int | None, Bounds(1)] = None,
    eval_tokens: EvalTokens = 100_000,
) -> None:
    """Train a reference backbone from scratch on `prose` (about an hour on one core)."""
    from registry.store import Registry
    from transplant.tables.backbones import reference_table
    from transplant.workflows.train.reference import train_new_reference

    check_writable(out, folder=True)
    library = Registry(out, reference=out / ".none")  # the shipped one of that name may stay
    report = train_new_reference(session, library, name, tokens, max_chars, eval_tokens)
    session.out.result(report, reference_table(report, str(out / name)))
