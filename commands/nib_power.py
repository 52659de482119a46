"""The NIB as tables, and its power from many more chunks than the protocol draws."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from commands.output import table
from transplant.evaluation.config import PowerConfig

if TYPE_CHECKING:
    from rich.table import Table
    from torch import Tensor

    from transplant.evaluation.nib import NIBResult
    from transplant.text.windows import Window

    Logits = Callable[[Window], Tensor]


def power_report(
    windows: Sequence[Window],
    anchor: Logits,
    candidate: Logits,
    result: NIBResult,
    config: PowerConfig,
) -> dict[str, Any]:
    """Scores many chunks, and says what the chunks of `result` alone can tell.

    Args:
        windows: the held-out windows that `result` drew from.
        anchor: window -> logits of the model to live up to.
        candidate: window -> logits of the model to judge.
        result: the benchmark as it was run.
        config: the margin, the power, and how many chunks to measure.
    """
    from transplant.evaluation.nib import CRITERIA, run_nib
    from transplant.evaluation.power import measure_power

    protocol, drawn = result.config, len(result.scores)
    long_enough = sum(len(window) >= protocol.chunk_length for window in windows)
    # The same seed draws the same chunks first.
    many = dataclasses.replace(protocol, chunks=min(long_enough, config.measured))
    measured = run_nib(windows, anchor, candidate, many)
    values = {name: [getattr(score, name) for score in measured.scores] for name in CRITERIA}
    found = measure_power(values, drawn, config, level=protocol.level)
    return {
        **dataclasses.asdict(config),
        "chunks": drawn,
        "level": protocol.level,
        "measured": len(measured.scores),
        "documents": len({windows[index].document for index in measured.windows}),
        "criteria": {name: power.as_dict() for name, power in found.items()},
        "per_chunk": values,
    }


def nib_table(report: dict[str, Any]) -> Table:
    """The four numbers against their thresholds."""
    title = f"NIB  {report['candidate']} against {report['anchor']}"
    shown = table(title, "", "mean", "95 %", "threshold", "")
    for name, threshold in report["thresholds"].items():
        low, high = report["interval"][name]
        sign = ">=" if name.startswith("top") else "<"
        shown.add_row(
            name, f"{report[name]:.4f}", f"{low:.4f} .. {high:.4f}",
            f"{sign} {threshold:.3f}", report["verdicts"][name],
        )  # fmt: skip
    shown.add_row("verdict", "", "", "", f"[bold]{report['verdict']}[/bold]")
    return shown


def power_table(power: dict[str, Any]) -> Table:
    """What the protocol can tell, and the chunks that the margin needs."""
    chunks, margin, percent = power["chunks"], power["margin"], f"{100 * power['power']:.0f} %"
    shown = table(
        f"\npower of {chunks} chunks, from {power['measured']} of {power['documents']} documents",
        "", "mean", "sd of\na chunk", "standard\nerror", f"{100 * power['level']:.0f} %\ninterval",
        f"passes at\n+ {margin:g}", f"chunks for\n+- {margin:g}", f"chunks to\npass {percent}",
    )  # fmt: skip
    for name, found in power["criteria"].items():
        shown.add_row(
            name,
            *(f"{found[key]:.4f}" for key in ("mean", "sd", "standard_error")),
            f"+- {found['half_width']:.4f}",
            f"{100 * found['power']:.0f} %",
            *(f"{found[key]:,}" for key in ("chunks_for_interval", "chunks_for_power")),
        )
    return shown
