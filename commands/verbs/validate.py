"""Validate a model against a baseline: perplexity, NIB, minimal pairs, calibration, drift.

Example: abi validate --model python@ref-gpt2 --baseline ref-gpt2 --gates gates.yaml --junit v.xml
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from commands.options import Field, Paths, described_by, named_paths
from commands.session import Session
from transplant.files.writable import check_writable


@described_by("evidence.validate.job.plan_validation")
def validate(
    session: Session,
    *,
    model: str,
    baseline: str,
    suite: str = "quick",
    data: Annotated[Paths | None, named_paths("data", spelled="--eval-data --data")] = None,
    general: Annotated[Paths | None, named_paths("general")] = None,
    pairs: Annotated[Paths | None, named_paths("pairs")] = None,
    gates: Path | None = None,
    junit: Annotated[Path | None, Field(help="The gates as JUnit XML, for CI.")] = None,
) -> None:
    """Validate a model against a baseline; exit 3 where a gate does not pass.

    Args:
        data: a text it is for; default: its domain. Repeatable.
        general: a text it must not forget; default: prose.
        pairs: minimal pairs of your own. Repeatable.
        gates: YAML of what is tolerated: METRIC: {max: NUMBER}.
    """
    from transplant.evidence.validate.job import plan_validation, run_validation
    from transplant.pictures.validation import write_junit
    from transplant.tables.validation import validation_sheet

    if junit is not None:
        check_writable(junit)
    plan = plan_validation(
        session, model, baseline, domains=data, general=general, pairs=pairs, suite=suite
    )  # fmt: skip
    report = run_validation(session, plan, gates)
    if junit is not None:
        write_junit(junit, report, suite="abi validate")
    session.out.result(report, validation_sheet(report), passed=report["pass"])
    if not report["pass"]:
        session.out.note(f"gates that did not pass: {', '.join(report['failed'])}")
