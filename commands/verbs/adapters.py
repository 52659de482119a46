"""Import a LoRA that PEFT has saved: attached to a backbone, or merged into a new one.

Example: abi adapters --import ./my-lora --to ref-llama --name law
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from commands.options import Field, Replace, described_by
from commands.session import Session


@described_by("workflows.adapters.import_lora")
def adapters(
    session: Session,
    *,
    source: Annotated[Path, Field(spelled="--import")],
    to: str,
    name: str | None = None,
    merge: bool = False,
    replace: Replace = False,
) -> None:
    """Import a LoRA that PEFT has saved: attached to a backbone, or merged into a new one.

    Args:
        name: hosted as NAME@<backbone>; merged: the new backbone. Default: FOLDER.
    """
    from transplant.tables.adapters import lora_table
    from transplant.workflows.adapters import import_lora

    report = import_lora(session, source, to, name=name, merge=merge, replace=replace)
    session.out.result(report, lora_table(report, source.name))
