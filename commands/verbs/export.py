"""Write a hosted module, linear map or LoRA as files that others load, with a model card.

Example: abi export python@ref-llama ./python-llama --as transformers --with-backbone --code
Example: abi export law@ref-llama ./law-lora --as lora --push me/law-lora
"""

from __future__ import annotations

from typing import Annotated

from commands.options import ARGUMENT, Field, Fields
from commands.session import Session
from transplant.workflows.export.spec import ExportJob

EXPORTED = Fields(
    "with_backbone code with_token_counts public", name=ARGUMENT,
    out=Field(argument=True, metavar="DIR"), form=Field(spelled="--as"),
    push=Field(metavar="OWNER/NAME"),
)  # fmt: skip


def export(session: Session, *, job: Annotated[ExportJob, EXPORTED]) -> None:
    """Write a hosted module, linear map or LoRA as files that others load."""
    from transplant.tables.export import export_table
    from transplant.workflows.export.job import run_export

    report = run_export(session, job)
    session.out.result(report, export_table(report))
