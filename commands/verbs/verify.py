"""Verify a result by making it again.

Example: abi verify
Example: abi verify paste --from 48M --to 150M-chess --domain chess
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from commands.options import ARGUMENT, Field
from commands.session import Session
from transplant.errors import InputError
from transplant.validation import refuse_idle

VERIFIED = ("results", "paste")


SHIPPED = "headline.json"
TOKENS = 50


def verify(
    session: Session,
    *,
    what: Annotated[str, ARGUMENT] = "results",
    record: Path | None = None,
    allow_other_text: bool = False,
    source: str | None = None,
    to: str | None = None,
    domain: list[str] | None = None,
    tokens: Annotated[int, Field(low=1, help="paste: tokens to generate.")] = TOKENS,
) -> None:
    """Recompute recorded results, or check a paste, each beside a control that must fail.

    Exit 3 where something does not agree.

    Args:
        what: what to verify: results or paste.
        record: JSON of `abi transfer`, one or a list; default: what ships with abi.
        allow_other_text: pass on another Python's text, within wide tolerances.
        source: `paste`: the core that the module came from.
        to: `paste`: the core that it was pasted into.
        domain: `paste`: a module's name; repeatable. Default: all.
    """
    of_paste = {"source": source, "to": to, "domain": domain, "tokens": tokens != TOKENS}
    of_results = {"record": record, "allow_other_text": allow_other_text}
    if what == "paste":
        refuse_idle("a paste", "`source`, `to`, `domain` and `tokens`", **of_results)
        from transplant.tables.paste import paste_table
        from transplant.workflows.verify_paste import paste_report

        report = paste_report(session, source, to, domain, tokens)
        shown = paste_table(report)
    elif what == "results":
        refuse_idle("a record of results", "`record`, and `allow_other_text`", **of_paste)
        from registry.store import REFERENCE, Registry
        from transplant.tables.recomputed import results_sheet
        from transplant.workflows.move.json_record import results_report

        library = session.library if record else Registry(REFERENCE)
        report = results_report(
            session, library, record or REFERENCE / SHIPPED, allow_other_text=allow_other_text
        )
        shown = results_sheet(report)
    else:
        raise InputError(f"cannot verify {what!r}", expected=f"one of {[*VERIFIED]}")
    session.out.result(report, shown, passed=report["pass"])
