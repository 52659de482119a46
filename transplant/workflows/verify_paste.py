"""A paste, verified by running it: the four checks of every module as a report and as a table."""

from __future__ import annotations

from typing import Any

from transplant.errors import InputError
from transplant.workflows.cores.folders import core_folder
from transplant.workflows.work import Work


def paste_report(
    work: Work, source: str | None, to: str | None, domains: list[str] | None, tokens: int
) -> dict[str, Any]:
    """Each module of `source` in `to`, checked beside a control that must fail.

    Raises:
        InputError: one of the two is missing, or there is no module.
    """
    from transplant.paste.core import open_core
    from transplant.paste.verify import verify_paste

    if source is None or to is None:
        raise InputError("a paste has two sides", expected="`source='CORE', to='CORE'`")
    ours, theirs = core_folder(work, source, "source"), core_folder(work, to, "to")
    modules = domains or sorted(open_core(ours).modules)
    if not modules:
        raise InputError(f"{source} has no domain module", hint="`cores()`")
    verdicts = []
    for module in modules:
        work.reporter.note(f"verifying {module}")
        verdicts.append(verify_paste(ours, theirs, module, tokens=tokens, seed=work.seed))
    return {
        "from": source,
        "to": to,
        "pass": all(verdict.passed for verdict in verdicts),
        "modules": [verdict.as_dict() for verdict in verdicts],
    }
