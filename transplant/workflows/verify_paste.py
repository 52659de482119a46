"""A paste, verified by running it: the four checks of every module as a report and as a table."""

from __future__ import annotations

from typing import Any

from transplant.errors import InputError
from transplant.workflows.cores.folders import core_folder, promised_tensors
from transplant.workflows.work import Work


def paste_report(
    work: Work, source: str | None, to: str | None, domains: list[str] | None, tokens: int
) -> dict[str, Any]:
    """Each module of `source` in `to`, and what else is in `to`, beside controls that must fail.

    Returns:
        The verdicts by module; `body` compares all tensors of `to` with its manifest, and is None
        where it has none.

    Raises:
        InputError: one of the two is missing, or there is no module.
    """
    from transplant.paste.body import verify_body
    from transplant.paste.core import open_core
    from transplant.paste.verify import verify_paste

    if source is None or to is None:
        raise InputError("a paste has two sides", expected="`source='CORE', to='CORE'`")
    ours, theirs = core_folder(work, source, "source"), core_folder(work, to, "to")
    modules = domains or sorted(open_core(ours).modules)
    if not modules:
        raise InputError(f"{source} has no domain module", hint="`cores()`")
    promised = promised_tensors(work, theirs)
    body = None if promised is None else verify_body(theirs, promised)
    verdicts = []
    for module in modules:
        work.reporter.note(f"verifying {module}")
        verdicts.append(verify_paste(ours, theirs, module, tokens=tokens, seed=work.seed))
    return {
        "from": source,
        "to": to,
        "pass": all(it.passed for it in verdicts) and (body is None or body.passed),
        "body": body and body.as_dict(),
        "modules": [verdict.as_dict() for verdict in verdicts],
    }
