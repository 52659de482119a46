"""Sections of a report on moves: the headline, what was moved, alignment, NIB, controls."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from transplant.evaluation.evidence import CANDIDATE, RAW
from transplant.pictures.document.blocks import Bar, Bars, Block, Facts, Paragraph, Section, Table
from transplant.pictures.systems import NOTES, OTHER_DOMAIN, role_of
from transplant.workflows.report.runs import Run
from transplant.workflows.report.wording import bounds, is_number, number, within

CRITERIA = {
    "top5": "overlap of the five likeliest tokens",
    "top1": "agreement on the likeliest token",
    "js": "Jensen-Shannon divergence, nats",
    "entropy": "difference of entropy, nats",
}
ORDER = ("moved", "native", "no-module", "no-donor", "other")
ALIGNED = {
    "r2": "R2 on held-out pairs",
    "cosine_before": "cosine before",
    "cosine_after": "cosine after",
}


def headline_of(runs: Sequence[Run]) -> str:
    """One sentence with the number that the first move, else the first training, measured."""
    moves = [run for run in runs if run.kind == "move"]
    if moves:
        more = f" ({len(moves) - 1} more moves below.)" if len(moves) > 1 else ""
        return _of_move(moves[0]) + more
    for run in runs:
        if run.kind == "training":
            return _of_training(run)
    counted = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    return f"Evidence of {counted}; no move and no training is among them."


def _of_move(run: Run) -> str:
    data = run.data
    subject = f"Moved to {data['target']}, {run.title}"
    if "no_ceiling" in data:
        return f"{subject} recovers no share that is a number: {data['no_ceiling']}."
    share = _at(data, "recovered", CANDIDATE)
    if not is_number(share):
        return f"{subject}: the recovered share was not measured."
    share = within(share, _bounds_of(data, CANDIDATE))
    tokens = _at(data, "eval", "tokens")
    on = f", on {tokens:,} held-out tokens" if isinstance(tokens, int) else ""
    return f"{subject} recovers {share} of what a module trained there gains{on}."


def _of_training(run: Run) -> str:
    raw, native = (_at(run.data, "ppl", system) for system in ("raw", "native"))
    gain = _at(run.data, "difference", "raw")
    start = f"{run.title} takes the perplexity of held-out text from {number(raw, '.2f')} to "
    if isinstance(gain, Mapping):
        nats = within(gain.get("nats"), [gain.get("low"), gain.get("high")])
        return f"{start}{number(native, '.2f')}: {nats} nats per token less."
    if is_number(raw) and is_number(native):
        gained = math.log(float(str(raw)) / float(str(native)))
        return f"{start}{number(native, '.2f')}: {within(gained, None)} nats per token less."
    return f"{start}{number(native, '.2f')}."


def moved_section(runs: Sequence[Run]) -> Section:
    """What each run moved or trained, and whether the bytes are the same."""
    blocks: list[Block] = []
    for run in runs:
        if run.kind == "move":
            blocks.append(Facts(_move_facts(run), title=run.title))
        elif run.kind == "training":
            blocks.append(Facts(_training_facts(run), title=run.title))
    missing = () if blocks else ("a move: `transfer(module='NAME@BACKBONE', to='BACKBONE')`",)
    return Section("What was moved", blocks, missing)


def _move_facts(run: Run) -> list[tuple[str, str]]:
    data, made = run.data, run.made
    hashes = data.get("module_sha256")
    rows = [
        ("from", _first(data.get("donor"), _at(made, "options", "module"))),
        ("to", str(data["target"])),
        ("domain's text", _first(made.get("corpus"), data.get("domain"))),
        ("paired on", _paired_on(made)),
        ("objective", _first(_at(made, "objective", "name"))),
        ("gain of the correction", number(_first_number(data.get("gain"), made.get("gain")), "g")),
    ]
    if isinstance(hashes, Mapping):
        same = "identical" if hashes.get("donor") == hashes.get("target") else "CHANGED"
        rows.append(("module's bytes", f"{same}, sha256 {str(hashes.get('target'))[:16]}"))
    elif isinstance(hashes, str):
        rows.append(("module's bytes", f"sha256 {hashes[:16]}"))
    if "tuned" in data:
        rows.append(("fine-tuned copy", f"{data['tuned']}, student {data.get('student')}"))
    return rows


def _paired_on(made: Mapping[str, Any]) -> str:
    if made.get("pairing_corpus", "") is None:
        return "no text"
    return _first(made.get("pairing_corpus"))


def _training_facts(run: Run) -> list[tuple[str, str]]:
    data = run.data
    raw, native = (_at(data, "ppl", system) for system in ("raw", "native"))
    gain = _at(data, "difference", "raw")
    known = isinstance(gain, Mapping)
    interval = [gain.get("low"), gain.get("high")] if known else None
    rows = [
        ("trained in", str(data["backbone"])),
        ("domain's text", _first(run.made.get("corpus"), data.get("domain"))),
        ("perplexity", f"{number(raw, '.2f')} raw, {number(native, '.2f')} with the module"),
    ]
    if known:
        rows.append(("nats per token gained", within(gain.get("nats"), interval)))
    if is_number(data.get("trained_parameters")):
        rows.append(("trained parameters", f"{data['trained_parameters']:,}"))
    return rows


def alignment_section(runs: Sequence[Run]) -> Section:
    """How close paired hidden states are before a map and after it."""
    blocks: list[Block] = []
    for run in runs:
        found = run.data.get("bridge") if run.kind == "move" else run.data
        if run.kind in ("move", "alignment") and isinstance(found, Mapping):
            bars = [
                Bar(said, float(found[key]), role="moved" if key == "cosine_after" else "other")
                for key, said in ALIGNED.items()
                if is_number(found.get(key))
            ]
            if bars:
                blocks.append(Bars(bars, "held-out pairs of hidden states", run.title))
                blocks.append(Facts(_pair_facts(found, run.data)))
    hint = "an alignment: `bridge_align(between=..., data='TEXT')`, or the file of a transfer"
    return Section("Alignment before and after", blocks, () if blocks else (hint,))


def _pair_facts(found: Mapping[str, Any], data: Mapping[str, Any]) -> list[tuple[str, str]]:
    counts = {"pairs": "pairs fitted on", "held_out_pairs": "pairs held out"}
    rows = [(said, f"{found[key]:,}") for key, said in counts.items() if is_number(found.get(key))]
    shares = {
        "positions that pair": found.get("paired_share"),
        "target tokens with a map": data.get("token_coverage"),
    }
    rows += [(said, f"{share:.1%}") for said, share in shares.items() if is_number(share)]
    return rows


def nib_section(runs: Sequence[Run]) -> Section:
    """Each Non-Inferiority Benchmark: measured against its thresholds."""
    blocks: list[Block] = []
    missing: list[str] = []
    for run in runs:
        found = run.data if run.kind == "nib" else run.data.get("nib")
        if run.kind not in ("nib", "move") or not isinstance(found, Mapping):
            continue
        anchor = run.data.get("anchor", "the native module")
        title = f"{run.title} against {anchor}"
        if found.get("pass") is None:
            missing.append(f"NIB of {title}: {found.get('why', 'not run')}")
            continue
        rows = [
            (
                said, within(found.get(key), _at(found, "interval", key)),
                number(_at(found, "thresholds", key), "g"),
                str(_at(found, "verdicts", key) or ""),
            )
            for key, said in CRITERIA.items()
        ]  # fmt: skip
        columns = ("criterion", "measured", "threshold", "verdict")
        blocks.append(Table(columns, rows, f"{title}: {found.get('verdict')}"))
    if not blocks and not missing:
        missing.append("a NIB: `nib(anchor='NAME@BACKBONE', candidate='NAME@BACKBONE')`")
    return Section("Non-inferiority (NIB)", blocks, missing)


def controls_section(runs: Sequence[Run]) -> Section:
    """What each move recovers beside its controls, and what is the donor's and the module's."""
    blocks: list[Block] = []
    missing: list[str] = []
    for run in runs:
        if run.kind != "move":
            continue
        data = run.data
        shares = data.get("recovered")
        if "no_ceiling" in data or not isinstance(shares, Mapping):
            missing.append(f"shares of {run.title}: {data.get('no_ceiling', 'none on record')}")
        else:
            blocks += _bars_of(run, shares)
        blocks.append(Facts(_shares(data)))
        if isinstance(data.get("ppl"), Mapping):
            rows = [(_plain(name), number(ppl, ".2f")) for name, ppl in data["ppl"].items()]
            blocks.append(Table(("system", "perplexity"), rows))
    if not blocks and not missing:
        missing.append("controls: `transfer(module='NAME@BACKBONE', to='BACKBONE')`")
    return Section("Recovered, beside controls", blocks, missing)


def _bars_of(run: Run, shares: Mapping[str, Any]) -> list[Block]:
    bars = [
        Bar(
            _plain(name), float(value), *(bounds(_bounds_of(run.data, name)) or (None, None)),
            note=NOTES.get(name, OTHER_DOMAIN), role=role_of(name),
        )
        for name, value in sorted(shares.items(), key=lambda item: ORDER.index(role_of(item[0])))
        if is_number(value) and name != RAW
    ]  # fmt: skip
    found: list[Block] = []
    if bars:
        axis = "recovered: 0 is the raw backbone, 1 the native module"
        found.append(Bars(bars, axis, run.title))
        if all(bar.low is None for bar in bars):
            said = "No intervals are on record for these shares."
            found.append(Paragraph(said, quiet=True))
    return found


def _shares(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for share, control in (("donor", "best_donor_free"), ("module", "best_module_free")):
        key = f"{share}_attributable"
        if key in data:
            said = within(data[key], _at(data, "intervals", key))
            rows.append(
                (
                    f"{share}-attributable",
                    f"{said}: candidate minus {_plain(str(data.get(control)))}",
                )
            )
    documents, tokens = _at(data, "eval", "documents"), _at(data, "eval", "tokens")
    if is_number(documents) and is_number(tokens):
        rows.append(("judged on", f"{tokens:,} tokens of {documents:,} held-out documents"))
    return rows


def _bounds_of(data: Mapping[str, Any], system: str) -> object:
    return _at(data, "intervals", "recovered", system)


def _at(data: object, *path: str) -> Any:
    """What lies in nested objects; None where something is missing on the way."""
    for key in path:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data


def _first(*values: object) -> str:
    return next((str(value) for value in values if value is not None), "not on record")


def _first_number(*values: object) -> object:
    return next((value for value in values if is_number(value)), None)


def _plain(name: str) -> str:
    return name.replace("_", " ")
