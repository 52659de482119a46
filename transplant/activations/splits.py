"""The windows of a file on the three sides of a split, which documents take by their hash."""

from __future__ import annotations

from transplant.activations.reader import Activations
from transplant.text.splits import check_sides, fingerprint_sides, split_of_digest

Sides = dict[str, list[int]]


def windows_by_side(acts: Activations) -> Sides:
    """The windows whose documents are on each side: `train`, `calibration`, `eval`.

    Raises:
        CorpusError: a side has none.
    """
    sides: Sides = {"train": [], "calibration": [], "eval": []}
    for window, document in enumerate(acts.document.tolist()):
        sides[split_of_digest(acts.digests[document])].append(window)
    check_sides(sides)
    return sides


def fingerprint_of(acts: Activations, sides: Sides) -> str:
    """The hash that the split of the same text has: `Splits.fingerprint`."""
    documents = ({int(acts.document[window]) for window in side} for side in sides.values())
    return fingerprint_sides(*([acts.digests[n] for n in sorted(side)] for side in documents))
