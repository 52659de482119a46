"""The ceiling of a move: proxy tuning, with donor and target side by side (arXiv 2401.08565)."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from transplant.workflows.corpus import windows_of
from transplant.workflows.move.inputs import MoveInputs, gain_tokens
from transplant.workflows.move.trials import Trials

if TYPE_CHECKING:
    from transplant.calibration.output_map import DonorMix
    from transplant.evaluation.likelihood import Corrector, System
    from transplant.text.documents import Document
    from transplant.workflows.move.side_by_side import Beside, BesideScores

RAW_WEIGHTS = (0.0, 0.25, 0.5, 1.0)
LENGTH = 256  # tokens of the target: as much text has to fit into the donor's context
CHANGE, RAW_RATIO, BOTH = "its module", "raw log ratio", "both"
PARTS: dict[str, Callable[[Beside], bool]] = {
    CHANGE: lambda way: way.module and not way.raw_weight,
    RAW_RATIO: lambda way: not way.module,
    BOTH: lambda way: way.module,
}
ELSEWHERE = ("raw", "moved")


def ceiling_of(
    move: MoveInputs, native: System, candidate: System, chosen: DonorMix, eval_tokens: int
) -> dict[str, Any]:
    """The ceiling of a move beside what it recovers, for its report, on the same text.

    The gain, the weight of log p_donor - log p_target, and the way that changes are carried over
    are chosen on the calibration split.

    Args:
        move: of a module or of a fine-tune.
        native: the ceiling of all moves, which `recovered` is a share of.
        candidate: the move itself.
        chosen: what the move has added.
        eval_tokens: held-out tokens to evaluate on.
    """
    from transplant.evaluation.evidence import Ceiling
    from transplant.evaluation.likelihood import score_documents

    with move.step("calibrate_beside"):
        ways = _best_weights(move, move.learned_text.calibration)
    shown = {"change": ways[CHANGE], "change_and_raw": ways[BOTH]}
    held_out = move.domain_text.eval
    with move.step("evaluate_beside"):
        found = score_move_beside(
            move, held_out, eval_tokens, {"raw": None, "native": native}, shown
        )
        systems = {"raw": None, "native": native, "candidate": candidate}
        windows = windows_of(move.target, held_out, LENGTH, eval_tokens)
        moved = Ceiling(score_documents(move.target, windows, systems)).row("candidate")
    shares = Ceiling(found.likelihoods)
    rows = {
        name: {**shares.row(name), "ppl": found.likelihoods[name].perplexity, **way.to_dict(),
               "change": way.change}
        for name, way in shown.items()
    }  # fmt: skip
    of = "change_and_raw" if chosen.raw_weight else "change"
    best, reached = rows[of]["recovered"], moved["recovered"]
    return {
        **rows,
        "candidate": moved,
        "of": of,
        "vocabulary_loses": None if best is None else 1 - best,
        "alignment_loses": None if best is None or reached is None else best - reached,
        "paired_share": found.paired_share,
        **shares.reason,
    }


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
        ways = _best_weights(move, splits.calibration)
    beside = {
        f"{part}, {elsewhere}": dataclasses.replace(way, elsewhere=elsewhere)
        for elsewhere in ELSEWHERE
        for part, way in ways.items()
    }
    with move.step("evaluate"):
        found = score_move_beside(move, splits.eval, trials.eval_tokens, systems, beside)
    ceiling, rows = Ceiling(found.likelihoods), []
    for name, scored in found.likelihoods.items():
        row: dict[str, Any] = {"name": name, "ppl": scored.perplexity, **ceiling.row(name)}
        if name in beside:
            way = beside[name]
            row |= {"added": name.partition(",")[0], **way.to_dict()}
            row |= {"module": way.module, "elsewhere": way.elsewhere}
        rows.append(row)
    return {
        "ablation": "ceiling",
        "paired_share": found.paired_share,
        "rows": rows,
        **ceiling.reason,
        **trials.facts(),
    }


def _best_weights(move: MoveInputs, documents: Sequence[Document]) -> dict[str, Beside]:
    """The way to carry changes and the weights with the smallest loss, of each of `PARTS`.

    All ways are tried, whichever the move was fitted by: what no way brings is what the vocabulary
    loses.
    """
    from transplant.calibration.changes.spec import CHANGES
    from transplant.calibration.tuning import ways_to_try
    from transplant.workflows.move.side_by_side import Beside

    config = dataclasses.replace(move.fitting, changes=(*CHANGES,))
    carried = dict.fromkeys(
        (way.change, way.shrink) for way in ways_to_try(move.output_map, config)
    )
    grid = itertools.product((True, False), carried, RAW_WEIGHTS, config.gains)
    tried = {
        f"{number}": Beside(raw_weight, gain, change, shrink, module)
        for number, (module, (change, shrink), raw_weight, gain) in enumerate(grid)
        if module or raw_weight
    }
    scored = score_move_beside(
        move, documents, gain_tokens(move.target), {"raw": None}, tried
    ).likelihoods
    return {
        part: tried[min((n for n in tried if fits(tried[n])), key=lambda n: scored[n].per_token)]
        for part, fits in PARTS.items()
    }


def score_move_beside(
    move: MoveInputs,
    documents: Sequence[Document],
    tokens: int,
    systems: Mapping[str, System],
    ways: Mapping[str, Beside],
) -> BesideScores:
    """Scores systems, and donor and target side by side, on documents of the domain.

    Args:
        move: of a module or of a fine-tune.
        documents: of one split.
        tokens: of the target, at most.
        systems: what is at work in the target, by name; None is the raw one.
        ways: what is added side by side, by name.
    """
    from transplant.text.windows import texts_of
    from transplant.workflows.move.side_by_side import score_beside

    windows = windows_of(move.target, documents, LENGTH, tokens)
    owners = [window.document for window in windows]
    return score_beside(
        move.donor, move.target, texts_of(windows, documents), owners, move.output_map,
        systems, ways,
    )  # fmt: skip
