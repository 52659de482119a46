"""Sections of a report on how it came to be: commands, seeds, versions, dates; and the words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from transplant.evidence.report.runs import Run
from transplant.evidence.report.wording import Wording
from transplant.pictures.document.blocks import Block, Code, Facts, Section

NO_RECORD = "not on record"
GLOSSARY = {
    "backbone": "a frozen language model that modules work in",
    "module": "a small trained network that changes what a backbone predicts in one domain",
    "interface": "the maps between the hidden states of a backbone and the space of a module",
    "donor": "the backbone that a module was trained in",
    "target": "the backbone that it was moved to",
    "native": "a module trained in the target itself: the ceiling of a move",
    "raw": "a backbone without a module",
    "candidate": "the moved module at work in the target",
    "recovered": "(log ppl raw - log ppl system) / (log ppl raw - log ppl native): "
    "0 is the raw backbone, 1 the native module",
    "control": "what a move is held against: the same steps without the donor, or the module",
    "donor-free": "a control that knows nothing of the donor",
    "module-free": "a control that knows the donor's changes, but not through the module",
    "donor-attributable": "recovered of the candidate minus that of the best donor-free control",
    "module-attributable": "recovered of the candidate minus that of the best module-free control",
    "perplexity": "exp of the mean loss per token; lower is better",
    "nats": "units of loss and entropy: natural logarithms",
    "held-out": "of documents that nothing was trained, fitted or chosen on",
    "95 %": "bounds of a bootstrap over documents, or over pairs",
    "NIB": "the Non-Inferiority Benchmark: four distances of next-token distributions from those "
    "of a model to live up to, each against a threshold",
    "cosine": "the mean cosine of paired hidden states; 1 is the same direction",
    "R2": "the share of the variance of held-out hidden states that a map explains",
    "trace": "what the loss grows by when one part's own value is replaced",
    "minimal pairs": "two texts that differ in one thing, of which one is right",
    "McNemar": "a test of two models on the same pairs",
    "calibration error": "the mean distance of confidence from the share that came true (ECE)",
    "AUROC": "how well a number tells wrong tokens from right ones; .5 is chance",
    "mutual information": "how far the members of an ensemble disagree",
    "entropy": "how undecided a next-token distribution is",
    "sha256": "a hash of bytes: equal hashes, equal bytes",
    "seed": "what random draws start from: the same seed, the same draws",
    "gate": "a bound that a measured number must keep",
}
"""Words of reports, and what they mean; a report explains those that it uses."""


def record_section(runs: Sequence[Run], words: Wording) -> Section:
    """The command, seed, versions and date of every run."""
    blocks: list[Block] = []
    seen: set[tuple[str, str]] = set()
    for run in runs:
        command = _command(run, words)
        if (run.given, command) in seen:
            continue
        seen.add((run.given, command))
        blocks.append(Code(command))
        blocks.append(Facts(_facts(run)))
    return Section("Commands, seeds, versions, dates", blocks)


def _command(run: Run, words: Wording) -> str:
    verb = run.made.get("verb")
    if run.command is not None:
        return run.command
    if not isinstance(verb, str):
        return f"{run.given}: {NO_RECORD} how it was made"
    options = run.made.get("options")
    options = dict(options) if isinstance(options, Mapping) else {}
    if run.made.get("seed") and "seed" not in options:
        options["seed"] = run.made["seed"]
    return words.command(verb, options)


def _facts(run: Run) -> list[tuple[str, str]]:
    versions = run.made.get("versions")
    said = NO_RECORD
    if isinstance(versions, Mapping):
        said = ", ".join(f"{name} {version}" for name, version in versions.items())
    rows = [
        ("found in", run.given),
        ("seed", str(run.made.get("seed", NO_RECORD))),
        ("versions", said),
        ("date", str(run.made.get("date", NO_RECORD))),
    ]
    if run.written is not None and "date" not in run.made:
        written = datetime.fromtimestamp(run.written, UTC)
        rows.append(("file written", f"{written:%Y-%m-%d %H:%M} UTC"))
    if isinstance(run.made.get("dtype"), str):
        rows.append(("computed in", run.made["dtype"]))
    return rows


def glossary_section(sections: Sequence[Section], headline: str) -> Section:
    """The words of the glossary that the report uses."""
    parts = [part for section in sections for part in _parts(section)]
    text = " ".join(map(_text, [headline, *parts]))
    rows = [
        (word, meaning) for word, meaning in GLOSSARY.items()
        if re.search(rf"(?<!\w){re.escape(word)}s?(?!\w)", text, re.IGNORECASE)
    ]  # fmt: skip
    return Section("Words", [Facts(rows)] if rows else [])


def _parts(section: Section) -> list[Any]:
    return [section.title, *section.missing, *(vars(block) for block in section.blocks)]


def _text(value: Any) -> str:
    """All text in a block."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return " ".join(_text(item) for item in value.values())
    if isinstance(value, list | tuple):
        return " ".join(_text(item) for item in value)
    return _text(vars(value)) if hasattr(value, "__dict__") else ""
