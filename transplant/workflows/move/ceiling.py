"""The ceiling of a move: proxy tuning, with donor and target side by side (arXiv 2401.08565)."""

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

RAW_WEIGHTS = (0.0, 0.25, 0.5, 1.0)
LENGTH = 256  # tokens of the target: as much text has to fit into the donor's context
CALIBRATION_TOKENS = 12_000
PARTS: dict[str, Callable[[Beside], bool]] = {
    "its module": lambda way: way.module and not way.raw_weight,
    "its own word": lambda way: not way.module,
    "both": lambda way: way.module,
}
ELSEWHERE = ("raw", "moved")


def ceiling_report(trials: Trials) -> dict[str, Any]:
    """Recovered by the move, and by its donor running beside the target, on held-out documents.

    The gain, and the weight of log p_donor - log p_target beside the module's change, are chosen on
    the calibration split: for the module alone, for the raw log ratio alone, and for both.

    Args:
        trials: the move, and its native.
    """
    from transplant.evaluation.evidence import Ceiling

    move, seed = trials.move, trials.move.work.seed
    systems: dict[str, Corrector | None] = {
        "raw": None,
        "native": trials.oracle,
        "moved": trials.closed_form("donor", seed),
        "random": trials.closed_form("random", seed),
    }
    splits = move.domain_text
    with move.step("calibrate_beside"):
        ways = _best_weights(trials, splits.calibration)
    beside = {
        f"{part}, {elsewhere}": dataclasses.replace(way, elsewhere=elsewhere)
        for elsewhere in ELSEWHERE
        for part, way in ways.items()
    }
    with move.step("evaluate"):
        found = _score(trials, splits.eval, trials.eval_tokens, systems, beside)
    ceiling, rows = Ceiling(found.likelihoods), []
    for name, scored in found.likelihoods.items():
        row: dict[str, Any] = {"name": name, "ppl": scored.perplexity, **ceiling.row(name)}
        if name in beside:
            way = beside[name]
            row |= {"heard": name.partition(",")[0], **way.to_dict()}
            row |= {"module": way.module, "elsewhere": way.elsewhere}
        rows.append(row)
    return {
        "ablation": "ceiling",
        "paired_share": found.paired_share,
        "rows": rows,
        **ceiling.reason,
        **trials.facts(),
    }


def _best_weights(trials: Trials, documents: Sequence[Document]) -> dict[str, Beside]:
    """The weights with the smallest loss, of each of `PARTS`."""
    from transplant.workflows.move.side_by_side import Beside

    tried = {
        f"{number}": Beside(raw_weight=raw_weight, gain=gain, module=module)
        for number, (module, raw_weight, gain) in enumerate(
            itertools.product((True, False), RAW_WEIGHTS, trials.move.config.gains)
        )
        if module or raw_weight
    }
    scored = _score(trials, documents, CALIBRATION_TOKENS, {"raw": None}, tried).likelihoods
    return {
        part: tried[min((n for n in tried if fits(tried[n])), key=lambda n: scored[n].per_token)]
        for part, fits in PARTS.items()
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
