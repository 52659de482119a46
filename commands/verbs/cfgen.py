"""Generate minimal pairs from a grammar: texts that differ in one word, one of them wrong.

Example: abi cfgen --task agreement --n 2000 --seed 1 --out agreement.jsonl
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from commands.options import Field, described_by
from commands.session import Session
from transplant.counterfactuals.grammars import GRAMMARS
from transplant.evidence.cfgen import PAIRS
from transplant.files.writable import check_writable


@described_by("evidence.cfgen.generate_pairs")
def cfgen(
    session: Session,
    *,
    task: Annotated[str, Field(help=f"One of: {', '.join(GRAMMARS)}.")],
    out: Path,
    n: int = PAIRS,
) -> None:
    """Generate minimal pairs from a grammar, with gold labels."""
    from transplant.evidence.cfgen import generate_pairs
    from transplant.tables.pairs import drawn_sheet

    check_writable(out)
    report = generate_pairs(session, task, out, n)
    session.out.result(report, drawn_sheet(report))
