"""Tables of `bench_real.py`: what was trained, what was moved, and means over seeds."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rich.table import Table

from tests.benchmarks.real_cells import EVAL_TOKENS, Cell, cell_of, training_of
from tests.benchmarks.shares import mean
from transplant.tables.shares import share_text


def tables(results: Mapping[str, Any]) -> list[Table]:
    """What was trained and what was moved, a line each, and means over seeds."""
    return [_trained(results), _moved(results), _means(results)]


def gain_of(report: Mapping[str, Any]) -> float:
    """What a native gains over the raw backbone, in nats per token."""
    return report["difference"]["raw"]["nats"]


def with_spread(values: Iterable[float | None], form: str = ".3f") -> str:
    """The mean and the standard deviation over seeds; a mark where one has no number."""
    found = [*values]
    middle = mean(found)
    if middle is None:
        return share_text(None) if found else ""
    known = [value for value in found if value is not None]
    return f"{middle:{form}}" + (
        f" ± {statistics.stdev(known):{form.lstrip('+')}}" if len(known) > 1 else ""
    )


def _trained(results: Mapping[str, Any]) -> Table:
    table = Table(
        "trained", "steps", "raw", "native", "gain (nats)", "bits per byte", "second source", "s",
        "MiB",
    )  # fmt: skip
    for name, found in results["train"].items():
        report = found["report"]
        table.add_row(
            name, str(training_of(found["command"]).steps), f"{report['ppl']['raw']:.2f}",
            f"{report['ppl']['native']:.2f}", _interval(report["difference"]["raw"]),
            _bits(report, "raw", "native"), _second(report, "native"),
            f"{found['seconds']:.0f}", str(found["peak_mib"]),
        )  # fmt: skip
    return table


def _moved(results: Mapping[str, Any]) -> Table:
    table = Table(
        "move", "on", "steps", "seed", "recovered", "donor-", "module-attributable", "NIB top-5",
        "best controls", "bits per byte: raw, native, moved", "second source", "s", "MiB",
    )  # fmt: skip
    for move in results["moves"]:
        cell = cell_of(move, results)
        if "skipped" in move:
            table.add_row(_move(cell), _on(cell), _steps(cell), str(cell.seed), move["skipped"])
            continue
        table.add_row(
            _move(cell), _on(cell), _steps(cell), str(cell.seed), *_row(move["report"]),
            f"{move['seconds']:.0f}", str(move["peak_mib"]),
        )  # fmt: skip
    return table


def _means(results: Mapping[str, Any]) -> Table:
    table = Table(
        "move", "on", "steps", "seeds", "recovered", "donor-", "module-attributable", "NIB top-5",
        "bits per byte, moved", "second source (nats)",
        title="means over seeds, with the standard deviation",
    )  # fmt: skip
    by_cell: dict[Cell, list[tuple[int, Mapping[str, Any]]]] = {}
    for move in results["moves"]:
        cell = cell_of(move, results)
        if "skipped" not in move:
            by_cell.setdefault(replace(cell, seed=-1), []).append((cell.seed, move["report"]))
    for cell, found in by_cell.items():
        if len(found) > 1:
            seeds = ", ".join(str(seed) for seed in sorted(seed for seed, _ in found))
            shown = _mean_row([report for _, report in found])
            table.add_row(_move(cell), _on(cell), _steps(cell), seeds, *shown)
    return table


def _mean_row(reports: Sequence[Mapping[str, Any]]) -> Sequence[str]:
    if "curves" in reports[0]:
        return [with_spread(report["curves"]["moved"][-1]["recovered"] for report in reports)]
    sources = [report["sources"] for report in reports if "sources" in report]
    second = [
        found["out_of_source"]["second"]["gain"]["candidate"]["nats"]
        for found in sources
        if "second" in found["out_of_source"]
    ]
    top5 = [report["nib"].get("top5") for report in reports]
    return [
        with_spread(report["recovered"]["candidate"] for report in reports),
        *(
            with_spread(report[f"{kind}_attributable"] for report in reports)
            for kind in ("donor", "module")
        ),
        with_spread(top5) if None not in top5 else "-",
        with_spread(found["in_source"]["bits_per_byte"]["candidate"] for found in sources) or "-",
        with_spread(second, "+.3f") or "-",
    ]


def _move(cell: Cell) -> str:
    return f"{cell.domain} {cell.donor} -> {cell.target} d{cell.d_abi}"


def _on(cell: Cell) -> str:
    """What it is paired on, and the options that make it another move than its neighbours."""
    words = [cell.pair, cell.change]
    if cell.inside != Cell.inside:
        words.append(f"{cell.inside} inside")
    if cell.eval_tokens not in (None, EVAL_TOKENS):
        words.append(f"{cell.eval_tokens:,} held out")
    return ", ".join(words)


def _steps(cell: Cell) -> str:
    """Those of the training, and of each run on a budget where they were asked for."""
    trained = "-" if cell.steps is None else str(cell.steps)
    return trained if cell.curve_steps is None else f"{trained}, {cell.curve_steps}"


def _row(report: Mapping[str, Any]) -> Sequence[str]:
    if "curves" in report:
        moved, *others = (
            f"{share_text(points[-1]['recovered'])}" for points in report["curves"].values()
        )
        names = [name for name in report["curves"] if name != "moved"]
        beside = [f"{name} {share}" for name, share in zip(names, others, strict=True)]
        return (moved, "", "", "", ", ".join(beside), "", "")
    recovered = report["recovered"]
    controls = {k: v for k, v in recovered.items() if k not in ("candidate", "native")}
    best = sorted(controls, key=lambda name: -(controls[name] or 0))[:2]
    return (
        share_text(recovered["candidate"]), share_text(report["donor_attributable"]),
        share_text(report["module_attributable"]), _number(report["nib"].get("top5")),
        ", ".join(f"{name} {share_text(controls[name])}" for name in best),
        _bits(report, "raw", "native", "candidate"), _second(report, "candidate"),
    )  # fmt: skip


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _interval(found: Mapping[str, Any]) -> str:
    low, high = found["interval"]
    return f"{found['nats']:+.3f} ({low:+.3f} .. {high:+.3f})"


def _bits(report: Mapping[str, Any], *systems: str) -> str:
    """Bits per byte of the held-out text: comparable between backbones, whose tokens differ."""
    found = report.get("sources", {}).get("in_source", {}).get("bits_per_byte")
    return "-" if not found else ", ".join(_number(found.get(system)) for system in systems)


def _second(report: Mapping[str, Any], system: str) -> str:
    found = report.get("sources", {}).get("out_of_source", {}).get("second")
    return "-" if not found else _interval(found["gain"][system])
