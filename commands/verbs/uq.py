"""Measure a model's uncertainty on held-out text: entropy, disagreement of members, calibration.

Example: abi uq --model python@ref-gpt2 --baseline ref-gpt2 --out uq
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.options.shared import HeldOutText
from commands.session import Session
from transplant.evaluation.uq_config import METHODS, UqConfig
from transplant.files.writable import check_writable

UQ = UqConfig()


def uq(
    session: Session,
    model: Annotated[str, typer.Option(help="The hosted model.")],
    data: HeldOutText = None,
    baseline: Annotated[
        str | None, typer.Option(help="What each token costs this model, too, for abi route-sim.")
    ] = None,
    method: Annotated[str, typer.Option(help=f"Members: {', '.join(METHODS)}.")] = UQ.method,
    members: Annotated[int, typer.Option(help="Dropout masks or perturbations.")] = UQ.members,
    scale: Annotated[
        float, typer.Option(help="Size of a perturbation, as a share of the weights.")
    ] = UQ.scale,
    ensemble: Annotated[
        list[str] | None, typer.Option(help="Another member of an ensemble; repeatable.")
    ] = None,
    bins: Annotated[int, typer.Option(help="Of the reliability diagram.")] = UQ.bins,
    window: Annotated[int, typer.Option(help="Tokens that are read at once.")] = UQ.window,
    eval_tokens: Annotated[int, typer.Option(help="Held-out tokens.")] = UQ.eval_tokens,
    out: Annotated[
        Path, typer.Option(help="Folder for metrics.json, reliability.png and index.html.")
    ] = Path("abi-uq"),
) -> None:
    """Measure how sure a model is of its next tokens, and how right it is to be."""
    from transplant.pictures.page import require_plotting
    from transplant.pictures.uncertainty import write_uncertainty
    from transplant.tables.uncertainty import uncertainty_sheet

    require_plotting()
    check_writable(out, folder=True)
    config = UqConfig(
        method="ensemble" if ensemble and method == UQ.method else method, members=members,
        scale=scale, ensemble=tuple(ensemble or ()), bins=bins, window=window,
        eval_tokens=eval_tokens,
    )  # fmt: skip
    result = session.uq(model, data, baseline=baseline, config=config)
    files = write_uncertainty(out, result.report, result.metrics)
    report = {**result.report, "files": files}
    session.out.result(report, uncertainty_sheet(report))
