"""Sections of a report on hosted models: traces, counterfactuals, uncertainty, gates, the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transplant.evidence.report.runs import Run
from transplant.evidence.report.wording import at, is_number, number, within
from transplant.pictures.document.blocks import (
    Bar,
    Bars,
    Block,
    Facts,
    HeatMap,
    Paragraph,
    Section,
    TableBlock,
)
from transplant.pictures.heat_map import grids_of, title_of
from transplant.tables.catalog import catalog_sheet
from transplant.tables.route import RISKS
from transplant.tables.shares import bounds_in
from transplant.tables.table import Table
from transplant.tables.trace import notes_of
from transplant.tables.uncertainty import AUROC, NAMES
from transplant.tables.validation import gates_table, metrics_table

TOP = 10  # targets of a trace that have a bar
SHOWN = ("move", "training", "nib", "trace", "pairs", "uncertainty", "route", "validation",
         "alignment", "catalog")  # fmt: skip


def trace_section(runs: Sequence[Run], model: str) -> Section:
    """Each trace: the largest effects with their intervals, and the heat map."""
    blocks: list[Block] = []
    for run in _of(runs, "trace"):
        data = dict(run.data)
        bars = [
            Bar(
                row["target"], row["effect"], *(bounds_in(row.get("interval")) or (None, None)),
                note="" if row.get("measured", True) else "an estimate by gradients",
            )
            for row in data["targets"][:TOP]
        ]  # fmt: skip
        axis = f"{data['unit']} lost without the target's own value"
        blocks.append(Bars(bars, axis, title_of(data), form="+.4f"))
        blocks += [HeatMap(grid) for grid in grids_of(data)]
        said = "Red: the model does worse without it. Blue: better. Each map has its own scale."
        blocks += [Paragraph(line, quiet=True) for line in (said, *notes_of({**data, "files": ()}))]
    return _section("Traces", blocks, f"a trace: `trace(model={model!r}, out='FOLDER')`")


def pairs_section(runs: Sequence[Run], model: str) -> Section:
    """Each evaluation on minimal pairs, by field."""
    blocks: list[Block] = []
    for run in _of(runs, "pairs"):
        data = run.data
        fields = {"all pairs": data, **data["fields"]}
        bars = [
            Bar(
                name, row["accuracy"],
                *(bounds_in(at(row, "interval", "accuracy")) or (None, None)),
                note=_against(data.get("baseline"), row), role="moved" if row is data else "other",
            )
            for name, row in fields.items()
        ]  # fmt: skip
        title = f"{run.title}: {data['pairs']:,} minimal pairs"
        blocks.append(Bars(bars, "share of pairs right; chance is .5", title))
        if data.get("ties"):
            said = f"{data['ties']:,} ties count as wrong."
            blocks.append(Paragraph(said, quiet=True))
    hint = f"minimal pairs: `cfeval(model={model!r}, pairs='PAIRS.jsonl')`"
    return _section("Counterfactuals", blocks, hint)


def _against(baseline: object, row: Mapping[str, Any]) -> str:
    if baseline is None or "difference" not in row:
        return f"{row['pairs']:,} pairs"
    p = row.get("mcnemar", {}).get("p")
    said = within(row["difference"], at(row, "interval", "difference"), "+.3f")
    return f"{said} over {baseline}" + (f", McNemar p {p:.2g}" if is_number(p) else "")


def uncertainty_section(runs: Sequence[Run], model: str) -> Section:
    """Entropies, calibration by confidence, and routing by uncertainty."""
    blocks: list[Block] = []
    for run in runs:
        if run.kind == "uncertainty":
            blocks += _uncertainty(run)
        elif run.kind == "route":
            blocks.append(Facts(_route(run.data), f"{run.title}, else {run.data['baseline']}"))
    return _section("Uncertainty", blocks, f"uncertainty: `uq(model={model!r}, out='FOLDER')`")


def _uncertainty(run: Run) -> list[Block]:
    data = run.data
    rows = [
        (said, within(data[name]["mean"], data[name]["interval"], ".4f"))
        for name, said in NAMES.items()
    ]
    found = data["calibration"]
    rows.append(("calibration error", within(found["ece"], at(found, "interval", "ece"), ".4f")))
    rows += [
        (f"errors told by {name.replace('_', ' ')} (AUROC)", number(data["error_auroc"][name]))
        for name in AUROC
    ]
    bars = [
        Bar(
            f"{row['from']:.2f} and more", row["accuracy"],
            note=f"confidence {row['confidence']:.3f}, {row['count']:,} tokens",
        )
        for row in found["bins"]
        if row["count"]
    ]  # fmt: skip
    title = f"{run.title}: {data['tokens']:,} tokens, {data['members']} members ({data['varied']})"
    return [Facts(rows, title), Bars(bars, "share that came true, by confidence")]


def _route(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [
        ("routed above", f"{number(data['tau'], '.4f')} nats of {data.get('by')}"),
        ("share of tokens kept", number(data["coverage"], ".1%")),
    ]
    for name, said in RISKS.items():
        gain = data["areas"][name]
        area = within(gain["nats"], gain["interval"], ".4f")
        rows.append((f"area gained over random, {said}", f"{area} nats"))
    return rows


def validation_section(runs: Sequence[Run], model: str) -> Section:
    """Each validation: its gates, then all that it measured."""
    blocks: list[Block] = []
    for run in _of(runs, "validation"):
        data = run.data
        title = f"{run.title} against {data['baseline']}"
        if data["gates"]:
            blocks.append(TableBlock(gates_table(data), f"{title}: gates"))
        blocks.append(TableBlock(metrics_table(data), title))
    hint = f"gates: `validate(model={model!r}, baseline='BACKBONE', gates='GATES.yaml')`"
    return _section("Validation", blocks, hint)


def catalog_section(runs: Sequence[Run]) -> Section:
    """Each catalog of a backbone's parts: roles of heads, ranks of maps and states, like layers."""
    parts = [part for run in _of(runs, "catalog") for part in catalog_sheet(dict(run.data)).parts]
    blocks: list[Block] = [
        TableBlock(part, part.title.strip()) if part.rows else Paragraph(part.title.strip())
        for part in parts
        if isinstance(part, Table)
    ]
    return Section("Parts of backbones", blocks)


def other_section(runs: Sequence[Run]) -> Section:
    """What has no section of its own: the numbers and words at the top of each result."""
    blocks = [
        Facts(_top(run.data), f"{run.kind}: {run.title}") for run in runs if run.kind not in SHOWN
    ]
    return Section("Other results", blocks)


def _top(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for key, value in data.items():
        if isinstance(value, str | bool):
            rows.append((key.replace("_", " "), str(value)))
        elif is_number(value):
            rows.append((key.replace("_", " "), f"{value:,}" if isinstance(value, int)
                         else f"{value:.4g}"))  # fmt: skip
    return rows


def _of(runs: Sequence[Run], kind: str) -> list[Run]:
    return [run for run in runs if run.kind == kind]


def _section(title: str, blocks: Sequence[Block], missing: str) -> Section:
    return Section(title, blocks, () if blocks else (missing,))
