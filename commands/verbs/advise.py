"""Measure two backbones and say how to move something from one to the other.

Example: abi advise --from ref-gpt2 --to ref-llama --domain python
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from commands.options import Field, Fields, described_by
from commands.session import Session
from transplant.advice.config import AdviceConfig
from transplant.workflows.out_folder import check_out


@described_by("workflows.advise.Advising")
def advise(
    session: Session,
    *,
    source: str,
    to: str,
    data: list[str] | None = None,
    domain: str | None = None,
    config: Annotated[AdviceConfig, Fields("excerpts", impact_tokens=Field(low=64))],
    trace: Path | None = None,
    catalog: Path | None = None,
    route: Path | None = None,
    out: Path | None = None,
) -> None:
    """Measure two backbones and say how to move something from one to the other.

    Args:
        data: text: prose, python, a file, a folder, a data set. Repeatable, one for each task; both
            backbones read the first. Default: prose.
        out: folder for the JSON and the page with the flow.
    """
    from commands.render.typed import command_of, with_commands
    from transplant.pictures.advice import write_advice
    from transplant.tables.advice import advice_sheet
    from transplant.workflows.advise import Advising, run_advice

    check_out(out)
    advising = Advising(
        session, source, to, tuple(data or ("prose",)), domain, config, trace, catalog, route
    )
    found, advice, report = run_advice(advising)
    told = with_commands(report, advice)
    files = [] if out is None else write_advice(out, told)
    shown = advice_sheet(found, advice, files, command_of)
    session.out.result(told | ({"files": files} if files else {}), shown)
