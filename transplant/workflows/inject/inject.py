"""An injection as one act: bridges fitted or taken up, judged, stored and reported."""

from __future__ import annotations

from typing import Any

from transplant.workflows.inject.injection import Injection


def run_injection(injection: Injection, name: str, *, replace: bool = False) -> dict[str, Any]:
    """Fits or takes up bridges, judges them on held-out text, stores and reports the injection.

    Args:
        injection: what goes where.
        name: its name in the library.
        replace: whether an injection of that name may go.

    Raises:
        ExistsError: something that is hosted has that name.
    """
    library = injection.work.library
    library.check_free(("module",), name, injection.to, None)
    library.claim(("injection",), name, injection.to, None, replace=replace)
    with injection.target.frozen():
        judged = injection.judged()
    report = injection.report(judged)
    results = {key: report[key] for key in ("inward", "reproduction", "gate")}
    entry = injection.store("injection", name, results, replace=replace)
    return {"name": f"{name}@{injection.to}", **report, "path": str(entry.path)}
