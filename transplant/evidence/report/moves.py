"""Sections of a report on moves: the headline, what was moved, how well it was aligned."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from transplant.evaluation.evidence import CANDIDATE
from transplant.evidence.report.controls import bounds_of
from transplant.evidence.report.runs import Run
from transplant.evidence.report.wording import at, is_number, number, within
from transplant.pictures.document.blocks import Bar, Bars, Block, Facts, Section

ALIGNED = {
    "r2": "R2 on held-out pairs",
    "cosine_before": "cosine before",
    "cosine_after": "cosine after",
}


def headline_of(runs: Sequence[Run]) -> str:
    """One sentence with the number that the first move, else the first training, measured."""
    moves = [run for run in runs if run.kind == "move"]
    if moves:
        others = len(moves) - 1
        more = f" ({others} more move{'s' * (others > 1)} below.)" if others else ""
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
    share = at(data, "recovered", CANDIDATE)
    if not is_number(share):
        return f"{subject}: the recovered share was not measured."
    share = within(share, bounds_of(data, CANDIDATE))
    tokens = at(data, "eval", "tokens")
    on = f", on {tokens:,} held-out tokens" if isinstance(tokens, int) else ""
    return f"{subject} recovers {share} of what a module trained there gains{on}."


def _of_training(run: Run) -> str:
    raw, native = (at(run.data, "ppl", system) for system in ("raw", "native"))
    gain = at(run.data, "difference", "raw")
    start = f"{run.title} takes the perplexity of held-out text from {number(raw, '.2f')} to "
    if isinstance(gain, Mapping):
        nats = within(gain.get("nats"), gain.get("interval"))
        return f"{start}{number(native, '.2f')}: {nats} nats per token less."
    if is_number(raw) and is_number(native):
        gained = math.log(raw / native)
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
        (
            "from",
            _first(data.get("donor"), at(made, "options", "module"), at(made, "options", "donor")),
        ),
        ("to", str(data["target"])),
        ("domain's text", _first(made.get("corpus"), data.get("domain"))),
        ("paired on", _paired_on(made)),
        ("objective", _first(at(made, "objective", "name"))),
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
    raw, native = (at(data, "ppl", system) for system in ("raw", "native"))
    gain = at(data, "difference", "raw")
    known = isinstance(gain, Mapping)
    rows = [
        ("trained in", str(data["backbone"])),
        ("domain's text", _first(run.made.get("corpus"), data.get("domain"))),
        ("perplexity", f"{number(raw, '.2f')} raw, {number(native, '.2f')} with the module"),
    ]
    if known:
        rows.append(("nats per token gained", within(gain.get("nats"), gain.get("interval"))))
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
                if rows := _pair_facts(found, run.data):
                    blocks.append(Facts(rows))
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


def _first(*values: object) -> str:
    return next((str(value) for value in values if value is not None), "not on record")


def _first_number(*values: object) -> object:
    return next((value for value in values if is_number(value)), None)
