"""Measure a model's uncertainty on held-out text: entropy, disagreement of members, calibration.

Example: abi uq --model python@ref-gpt2 --baseline ref-gpt2 --out uq
"""

from __future__ import annotations

from pathlib import Path

from commands.options import HeldOutText, described_by
from commands.session import Session
from transplant.evaluation.uq_config import UqConfig
from transplant.workflows.out_folder import check_out


@described_by("evidence.uq.measure_uncertainty")
def uq(
    session: Session,
    *,
    model: str,
    data: HeldOutText = None,
    baseline: str | None = None,
    config: UqConfig,
    out: Path = Path("abi-uq"),
) -> None:
    """Measure how sure a model is of its next tokens, and how right it is to be.

    Args:
        out: folder for metrics.json, reliability.png and index.html.
    """
    from transplant.pictures.uncertainty import write_uncertainty
    from transplant.tables.uncertainty import uncertainty_sheet

    check_out(out)
    result = session.uq(model, data, baseline=baseline, config=config)
    files = write_uncertainty(out, result.report, result.metrics)
    report = {**result.report, "files": files}
    session.out.result(report, uncertainty_sheet(report))
