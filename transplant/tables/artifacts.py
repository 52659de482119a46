"""Artifacts as tables: a list of them, and one with the evidence that was stored with it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from transplant.files.former_keys import with_present_keys
from transplant.tables.shares import bounds_in, bounds_text, share_text
from transplant.tables.systems import NOTES, OTHER_DOMAIN
from transplant.tables.table import Sheet, Table, left, prose
from transplant.tables.words import faint

UNITS = ("B", "kB", "MB", "GB", "TB")
LINES = ("tensors", "results")  # of a report, shown otherwise


def list_table(root: str, rows: Sequence[dict[str, Any]]) -> Table:
    """What a registry holds, a row for each artifact."""
    words = (left(header) for header in ("kind", "backbone", "with"))
    shown = Table(f"registry {root}", "name", *words, "d_abi", "date", "size", "recovered")
    for row in rows:
        recovered = "" if row["recovered"] is None else f"{row['recovered']:.3f}"
        on = " = ".join([row["backbone"], *row["also_on"]])  # other names of the same weights
        shown.add(
            row["name"], row["kind"], on, ", ".join(row["with"]), str(row["d_abi"] or ""),
            (row["date"] or "")[:10], size_text(row["bytes"]), recovered,
        )  # fmt: skip
    return shown


def size_text(size: float) -> str:
    """A number of bytes, in the unit that gives it at most three digits before the point."""
    unit, *larger = UNITS
    while size >= 1000 and larger:
        size, unit = size / 1000, larger.pop(0)
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def artifact_sheet(report: dict[str, Any]) -> Sheet:
    """All that is known of an artifact, and below it the evidence that was stored with it."""
    shown = Table(f"{report['kind']} {report['hosted']}", "", prose(""))
    tensors = f"{len(report['tensors'])} tensors"
    for key, value in (*_flat(report), ("tensors", tensors)):
        shown.add(key, value if isinstance(value, str) else json.dumps(value, default=str))
    evidence = evidence_table(report["hosted"], report["results"])
    return Sheet(shown) if evidence is None else Sheet(shown, "", evidence)


def _flat(report: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """What a manifest says, a line each; how it was made one line for each fact."""
    lines: list[tuple[str, Any]] = []
    for key, value in report.items():
        if key == "made":
            lines += [(f"made: {fact}", of) for fact, of in value.items() if fact != "losses"]
            lines += [("made: losses", f"{title}: {_course(run)}") for title, run in _runs(value)]
        elif key not in LINES and value not in (None, [], {}):
            lines.append((key, value))
    return lines


def _runs(made: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The losses that a manifest has, of runs that took a step."""
    return [(title, run) for title, run in _part(made.get("losses")).items() if _part(run)]


def _course(run: Mapping[str, Any]) -> str:
    """The first and the last loss of a run; a picture has the rest."""
    steps, loss, held = (run.get(key) or [] for key in ("steps", "loss", "held"))
    if not (steps and loss):
        return "none"
    said = f"{loss[0]:.3f} at step {steps[0]}, {loss[-1]:.3f} at step {steps[-1]}"
    return said + (f", {held[-1][1]:.3f} on the calibration split" if held else "")


def evidence_table(name: str, results: Mapping[str, Any]) -> Table | None:
    """Perplexities and shares as they were measured; None where no such numbers are stored.

    Args:
        name: of the artifact.
        results: of its manifest, of any version of this tool.
    """
    results = with_present_keys(results)
    ppl, recovered = _numbers(results.get("ppl")), _numbers(results.get("recovered"))
    if not (ppl or recovered):
        return None
    shown = Table(
        f"evidence of {name}, when it was made", "", "perplexity", "recovered", "95 %", prose("")
    )
    bounds = _part(results.get("interval"))
    of_systems = _part(bounds.get("recovered"))
    moved = "candidate" in {*ppl, *recovered}
    known = [system for system in NOTES if system in {*ppl, *recovered}]
    for system in dict.fromkeys((*known, *ppl, *recovered)):
        share = share_text(recovered[system]) if system in recovered else ""
        note = NOTES.get(system, OTHER_DOMAIN) if moved else ""
        value = ppl.get(system)
        shown.add(
            system, "" if value is None else f"{value:.2f}", share,
            bounds_text(bounds_in(of_systems.get(system))), faint(note),
        )  # fmt: skip
    for what in ("donor", "module"):
        key = f"{what}_attributable"
        if key in results:
            share = share_text(_numbers({"it": results[key]}).get("it"))
            shown.add(
                f"{what}-attributable", "", share, bounds_text(bounds_in(bounds.get(key))), ""
            )
    nib = _part(results.get("nib"))
    if "pass" in nib:
        verdict = str(nib.get("verdict") or nib.get("why") or "")
        shown.add("NIB against native", "", verdict, "", "")
    shown.note(str(results.get("no_ceiling") or ""))
    return shown


def _part(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _numbers(value: object) -> dict[str, float | None]:
    return {k: v for k, v in _part(value).items() if v is None or isinstance(v, int | float)}
