"""The ceiling of a move: its donor running beside the target, heard in several ways."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from transplant.workflows.corpus import windows_of
from transplant.workflows.move.trials import Trials

if TYPE_CHECKING:
    from transplant.evaluation.likelihood import Corrector
    from transplant.text.documents import Document
    from transplant.workflows.move.side_by_side import Beside, BesideScores

WORDS = (0.0, 0.25, 0.5, 1.0)
LENGTH = 256  # tokens of the target: as much text has to fit into the donor's context
CALIBRATION_TOKENS = 12_000
HEARD: dict[str, Callable[[Beside], bool]] = {
    "its module": lambda way: way.module and not way.donor_word,
    "its own word": lambda way: not way.module,
    "both": lambda way: way.module,
}
ELSEWHERE = ("raw", "moved")


def ceiling_report(trials: Trials) -> dict[str, Any]:
    """Recovered by the move, and by its donor running beside the target, on held-out documents.

    How loud the donor is, and how much its own word counts beside its module's change, is chosen on
    the calibration split: for its module alone, for its word alone, and for both.

    Args:
        trials: the move, and its native.
    """
    from transplant.evaluation.evidence import recovered_by

    move, seed = trials.move, trials.move.work.seed
    systems: dict[str, Corrector | None] = {
        "raw": None,
        "native": trials.oracle,
        "moved": trials.closed_form("donor", seed),
        "random": trials.closed_form("random", seed),
    }
    splits = move.domain_text
    with move.step("calibrate_beside"):
        ways = _loudest(trials, splits.calibration)
    beside = {
        f"{heard}, {elsewhere}": dataclasses.replace(way, elsewhere=elsewhere)
        for elsewhere in ELSEWHERE
        for heard, way in ways.items()
    }
    with move.step("evaluate"):
        found = _score(trials, splits.eval, trials.eval_tokens, systems, beside)
    rows = []
    for name, scored in found.likelihoods.items():
        share = recovered_by(found.likelihoods, name)
        row = {"name": name, "ppl": scored.perplexity, "recovered": share.mean}
        row["interval"] = share.as_list()
        if name in beside:
            row |= {"heard": name.partition(",")[0], **dataclasses.asdict(beside[name])}
        rows.append(row)
    return {
        "ablation": "ceiling",
        "paired_share": found.paired_share,
        "rows": rows,
        **trials.facts(),
    }


def _loudest(trials: Trials, documents: Sequence[Document]) -> dict[str, Beside]:
    """The best way to hear the donor, of each of `HEARD`."""
    from transplant.workflows.move.side_by_side import Beside

    tried = {
        f"{number}": Beside(donor_word=word, gain=gain, module=module)
        for number, (module, word, gain) in enumerate(
            itertools.product((True, False), WORDS, trials.move.config.gains)
        )
        if module or word
    }
    scored = _score(trials, documents, CALIBRATION_TOKENS, {"raw": None}, tried).likelihoods
    return {
        heard: tried[min((n for n in tried if fits(tried[n])), key=lambda n: scored[n].per_token)]
        for heard, fits in HEARD.items()
    }


def _score(
    trials: Trials,
    documents: Sequence[Document],
    tokens: int,
    systems: Mapping[str, Corrector | None],
    ways: Mapping[str, Beside],
) -> BesideScores:
    from transplant.text.windows import texts_of
    from transplant.workflows.move.side_by_side import score_beside

    move = trials.move
    windows = windows_of(move.target, documents, LENGTH, tokens)
    owners = [window.document for window in windows]
    return score_beside(
        move.donor, move.target, texts_of(windows, documents), owners, move.output_map,
        systems, ways,
    )  # fmt: skip
