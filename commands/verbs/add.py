"""Add a backbone to the registry under a short name.

Example: abi add ~/models/SmolLM2-135M --name smollm2
"""

from __future__ import annotations

from typing import Annotated

from commands.options import ARGUMENT, Field, Replace
from commands.session import Session


def add(
    session: Session,
    *,
    source: Annotated[str, ARGUMENT],
    name: Annotated[str, Field(help="Its name in the registry.")],
    copy: bool = False,
    replace: Replace = False,
) -> None:
    """Add a backbone under a short name: by reference, as a copy, or unpacked from a .gguf.

    Args:
        source: a save_pretrained folder, a hub id, or a .gguf file, which is unpacked once to
            --dtype (default: bfloat16).
        copy: copy the files; else they stay where they are.
    """
    from transplant.tables.backbones import added_table

    report = session.add(source, name, copy=copy, replace=replace)
    for note in report["notes"]:
        session.out.note(note)
    session.out.result(report, added_table(name, report))
