"""A model on minimal pairs: how often it gives the right text the higher probability."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from transplant.counterfactuals.pair_file import Pair, PairFile, read_pairs
from transplant.errors import InputError
from transplant.evaluation.intervals import Interval
from transplant.evaluation.paired_accuracy import Flags, accuracy, gain, mcnemar
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.modules.hosted import HostedModel

NAMED = 10  # identical pairs that a report names; all of them are counted


@dataclass(frozen=True)
class Judged:
    """Which pairs a model gets right."""

    right: Flags  # [pairs]
    ties: int
    """Pairs whose two texts cost the same: they count as wrong."""


def evaluate_pairs(
    work: Work,
    model: str,
    pairs: str | Path,
    *,
    baseline: str | None = None,
    per_paradigm: int | None = None,
    space: bool = False,
) -> dict[str, Any]:
    """Accuracy of a hosted model on a file of minimal pairs, by field.

    A pair is right where the right text has the higher log-probability, the sum over all its
    tokens (see `transplant.evaluation.sentences`).

    Args:
        work: library, device, seed and reporter.
        model: the hosted model to judge.
        pairs: the file, or a folder of such files; see `read_pairs`.
        baseline: another model, a backbone (a name, a folder or a hub id) or what is hosted on
            one, which is compared on the same pairs, by McNemar's test.
        per_paradigm: how many pairs of each paradigm, drawn by the seed, couples whole; None for
            all of them.
        space: whether a space is put before every text, as the BLiMP task of the
            lm-evaluation-harness has it: a text begins with another token then.

    Returns:
        The report: accuracy with its interval over couples of pairs, by field and paradigm, and
        with a baseline the difference and McNemar's test.

    Raises:
        CorpusError: what is no file of pairs.
        InputError: a text that the model cannot read.
        NotFoundError: a model of that name is not there.
    """
    from transplant.evaluation.sentences import Start

    found = read_pairs(pairs)
    if per_paradigm is not None:
        found = dataclasses.replace(found, pairs=_draw(found.pairs, per_paradigm, work.seed))
    if found.identical:
        work.reporter.warn(
            f"left out: {len(found.identical)} pairs of identical texts, the first at "
            f"{found.identical[0]}"
        )
    if space:
        found = dataclasses.replace(found, pairs=tuple(map(_after_space, found.pairs)))
    work.check_there(model=model, baseline=baseline)
    hosted, *others = work.load_together(model, *([] if baseline is None else [baseline]))
    judged = judge_pairs(work, hosted, found.pairs)
    other = judge_pairs(work, others[0], found.pairs) if others else None
    return {
        "model": model,
        **({} if baseline is None else {"baseline": baseline}),
        **pairs_report(found.pairs, judged, other),
        "start": Start.of(hosted).text,
        "space": space,
        "data": _source(pairs, found, per_paradigm),
        "made": work.made(),
    }


def judge_pairs(work: Work, model: HostedModel, pairs: Sequence[Pair]) -> Judged:
    """Scores both texts of every pair."""
    from transplant.evaluation.sentences import sentence_nats

    texts = [text for pair in pairs for text in (pair.good, pair.bad)]
    with work.reporter.progress(f"scoring {len(pairs):,} pairs with {model.name}") as progress:
        nats = sentence_nats(model, texts, progress=progress).numpy().reshape(-1, 2)
    return Judged(nats[:, 0] < nats[:, 1], int((nats[:, 0] == nats[:, 1]).sum()))


def pairs_report(
    pairs: Sequence[Pair], judged: Judged, baseline: Judged | None = None, *, seed: int = 0
) -> dict[str, Any]:
    """Accuracy over all pairs, by field and by paradigm.

    Args:
        pairs: what was judged.
        judged: by the model.
        baseline: by another one.
        seed: of the bootstraps.
    """
    couples = np.asarray([pair.couple for pair in pairs])

    def row(where: Flags) -> dict[str, Any]:
        right, groups = judged.right[where], couples[where].tolist()
        found = {"accuracy": accuracy(right, groups, seed=seed)}
        facts: dict[str, Any] = {"pairs": int(where.sum())}
        if baseline is not None:
            theirs = baseline.right[where]
            found["difference"] = gain(right, theirs, groups, seed=seed)
            facts["baseline_accuracy"] = float(theirs.mean())
            facts["mcnemar"] = dataclasses.asdict(mcnemar(right, theirs, groups))
        return facts | _with_intervals(found)

    def by(names: Sequence[str]) -> dict[str, Any]:
        of = np.asarray(names)
        return {name: row(of == name) for name in dict.fromkeys(names)}

    return {
        **row(np.ones(len(pairs), dtype=np.bool_)),
        "ties": judged.ties,
        "fields": by([pair.field for pair in pairs]),
        "paradigms": by([pair.paradigm for pair in pairs]),
    }


def _with_intervals(found: Mapping[str, Interval]) -> dict[str, Any]:
    bounds = {name: interval.as_list() for name, interval in found.items()}
    return {**{name: interval.mean for name, interval in found.items()}, "interval": bounds}


def _source(pairs: str | Path, found: PairFile, per_paradigm: int | None) -> dict[str, Any]:
    return {
        "source": str(pairs),
        "sha256": found.sha256,
        "identical": len(found.identical),
        "first_identical": [*found.identical[:NAMED]],
        "per_paradigm": per_paradigm,
    }


def _after_space(pair: Pair) -> Pair:
    return dataclasses.replace(pair, good=f" {pair.good}", bad=f" {pair.bad}")


def _draw(pairs: Sequence[Pair], most: int, seed: int) -> tuple[Pair, ...]:
    """At most `most` pairs of each paradigm, couples whole where there is room."""
    if most < 1:
        raise InputError("`per_paradigm`", expected="1 or more", found=most)
    groups: dict[str, dict[str, list[int]]] = {}
    for number, pair in enumerate(pairs):
        groups.setdefault(pair.paradigm, {}).setdefault(pair.couple, []).append(number)
    taken: list[int] = []
    generator = random.Random(seed)
    for couples in groups.values():
        names = [*couples]
        generator.shuffle(names)
        taken += [number for name in names for number in couples[name]][:most]
    return tuple(pairs[number] for number in sorted(taken))
