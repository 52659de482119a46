"""Compare BASIS with PEFT's adapters: one budget, one order of the text, a search of rates each.

Example: abi basis compare --backbone ref-gpt2 --domain python --rank 8 --out comparison
"""

from __future__ import annotations

from typing import Annotated

from commands.options import DOMAIN_DATA, Field, Fields, parse_names
from commands.options.basis import COMPARED as RECIPE
from commands.session import Session
from transplant.workflows.basis.spec import CompareJob

COMPARED = Fields(
    "backbone domain out forget retain layers rank seeds eval_tokens",
    data=DOMAIN_DATA, config=RECIPE, methods=Field(parse=parse_names, show=",".join),
)  # fmt: skip


def basis_compare(session: Session, *, job: Annotated[CompareJob, COMPARED]) -> None:
    """Compare BASIS with PEFT's adapters and full fine-tuning at one budget."""
    from transplant.tables.basis_compare import compare_table
    from transplant.workflows.basis.compare.job import run_compare

    report = run_compare(session, job)
    session.out.result(report, compare_table(report))
