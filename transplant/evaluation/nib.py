"""NIB, the Non-Inferiority Benchmark: does the candidate predict like the anchor on held-out text?

A pass says that the two models agree, not why: a transfer reports its controls beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from transplant.errors import CorpusError, InputError, ShapeError
from transplant.evaluation.agreement import ChunkScore, score_chunk
from transplant.evaluation.config import NIBConfig
from transplant.evaluation.intervals import Interval, bootstrap_interval
from transplant.evaluation.logit_rows import Logits
from transplant.progress import Progress
from transplant.ranks import current

CRITERIA = ("top5", "top1", "js", "entropy")
"""The four criteria; all must hold."""
_AT_LEAST = frozenset({"top5", "top1"})

PASS, PASS_POINT, FAIL = "pass", "pass (point)", "fail"

WindowT = TypeVar("WindowT", bound=Sized)


@dataclass(frozen=True)
class NIBResult:
    """The scores of every chunk, and what follows from them.

    `intervals` are bootstrapped over chunks. A verdict is "pass" where the whole interval clears
    the threshold, "pass (point)" where only the mean does, else "fail"; `verdict` is the worst. Of
    a single chunk, whose interval has no width, nothing but the mean is known.
    """

    config: NIBConfig
    seeds: tuple[int, ...]
    windows: tuple[int, ...]
    scores: tuple[ChunkScore, ...]
    intervals: Mapping[str, Interval]

    @property
    def means(self) -> dict[str, float]:
        """The mean over chunks of each criterion."""
        return {name: self.intervals[name].mean for name in CRITERIA}

    @property
    def verdicts(self) -> dict[str, str]:
        """The verdict on each criterion."""
        limits, best = self.config.thresholds, PASS if len(self.scores) > 1 else PASS_POINT
        found = {
            name: judge_criterion(name, self.intervals[name], limits[name]) for name in CRITERIA
        }
        return {name: best if verdict == PASS else verdict for name, verdict in found.items()}

    @property
    def verdict(self) -> str:
        """The worst of the four verdicts."""
        return max(self.verdicts.values(), key=(PASS, PASS_POINT, FAIL).index)

    @property
    def passed(self) -> bool:
        """Whether all four means clear their thresholds."""
        return self.verdict != FAIL

    def as_dict(self) -> dict[str, Any]:
        """The result for JSON; js and entropy in nats."""
        return {
            **self.means,
            "pass": self.passed,
            "verdict": self.verdict,
            "verdicts": self.verdicts,
            "interval": {name: self.intervals[name].as_list() for name in CRITERIA},
            "thresholds": dict(self.config.thresholds),
            "seeds": list(self.seeds),
            "chunks": len(self.scores),
            "positions": sum(score.positions for score in self.scores),
        }


def pick_chunks(lengths: Sequence[int], config: NIBConfig, seed: int | None = None) -> list[int]:
    """Draws which held-out windows are compared, without replacement, in a random order.

    Args:
        lengths: tokens of each held-out window; one shorter than `config.chunk_length` is left out.
        config: how many, and how long.
        seed: of the draw; `config.seed` without it.

    Raises:
        CorpusError: fewer than `config.chunks` windows are long enough.
    """
    eligible = [index for index, length in enumerate(lengths) if length >= config.chunk_length]
    if len(eligible) < config.chunks:
        raise CorpusError(
            f"too few held-out windows of {config.chunk_length} tokens for the NIB",
            expected=f"at least {config.chunks}",
            found=f"{len(eligible)} (of {len(lengths)} windows)",
            hint="give it more or longer held-out documents, or fewer or shorter chunks",
        )
    generator = np.random.default_rng(config.seed if seed is None else seed)
    return [eligible[i] for i in generator.permutation(len(eligible))[: config.chunks]]


def run_nib(
    windows: Sequence[WindowT],
    anchor: Callable[[WindowT], Logits],
    candidate: Callable[[WindowT], Logits],
    config: NIBConfig | None = None,
    *,
    seeds: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> NIBResult:
    """Compares a candidate with an anchor on held-out chunks.

    The logits of one chunk are scored and freed before the next chunk is read. Of several processes
    each scores its share of the chunks.

    Args:
        windows: held-out windows of tokens, whatever the two models read.
        anchor: window -> logits [positions, vocab] of the model to live up to, as a tensor or as
            `LogitRows`, which are computed for some positions at a time.
        candidate: window -> logits [positions, vocab] over the same vocabulary and positions.
        config: chunks and thresholds; the standard benchmark without it.
        seeds: draws of chunks, `(config.seed,)` without them; `EXTENDED_SEEDS` for the extended
            form. A window that several of them draw counts once.
        progress: is told of each chunk.

    Raises:
        CorpusError: too few windows are long enough.
        ShapeError: the two models' logits do not fit, or `skip` leaves no position.
        NumericalError: logits that are not finite.
        InputError: `seeds` is empty.
    """
    config = config or NIBConfig()
    draws = (config.seed,) if seeds is None else tuple(seeds)
    if not draws:
        raise InputError("the NIB needs a seed", expected="at least one", found="none")
    lengths = [len(window) for window in windows]
    picked = tuple(dict.fromkeys(i for seed in draws for i in pick_chunks(lengths, config, seed)))
    ranks = current()
    mine = {}
    for number in ranks.turns(len(picked)):
        found = _score_window(windows[picked[number]], anchor, candidate, config.skip)
        mine[number] = _as_tensors(found)
        if progress is not None:
            progress(number + 1, len(picked), "chunks")
    scores = tuple(map(_from_tensors, ranks.collect(len(picked), mine)))
    intervals = {
        name: bootstrap_interval(
            [getattr(score, name) for score in scores],
            level=config.level,
            resamples=config.resamples,
            seed=config.seed,
        )
        for name in CRITERIA
    }
    return NIBResult(config, draws, picked, scores, intervals)


def _score_window(
    window: WindowT,
    anchor: Callable[[WindowT], Logits],
    candidate: Callable[[WindowT], Logits],
    skip: int,
) -> ChunkScore:
    with torch.no_grad():
        anchor_logits, candidate_logits = anchor(window), candidate(window)
    if min(len(anchor_logits), len(candidate_logits)) <= skip:
        raise ShapeError(
            "a chunk of the NIB has no position left",
            expected=f"more than the {skip} positions that are skipped",
            found=f"{len(anchor_logits)} and {len(candidate_logits)} positions of logits",
            hint="longer chunks, or a smaller skip",
        )
    return score_chunk(anchor_logits[skip:], candidate_logits[skip:])


def _as_tensors(score: ChunkScore) -> dict[str, Tensor]:
    """A score as what processes exchange."""
    return {k: torch.tensor(v, dtype=torch.float64) for k, v in vars(score).items()}


def _from_tensors(tensors: Mapping[str, Tensor]) -> ChunkScore:
    means = {name: tensor.item() for name, tensor in tensors.items()}
    return ChunkScore(positions=int(means.pop("positions")), **means)


def judge_criterion(criterion: str, interval: Interval, threshold: float) -> str:
    """The verdict on one of CRITERIA: `pass`, `pass (point)` where only the mean clears it, `fail`.

    Args:
        criterion: its name.
        interval: its mean over chunks, with bounds.
        threshold: the least value of top5 and top1, a bound of the others.
    """

    def clears(value: float) -> bool:
        return value >= threshold if criterion in _AT_LEAST else value < threshold

    worst = interval.low if criterion in _AT_LEAST else interval.high
    if not clears(interval.mean):
        return FAIL
    return PASS if clears(worst) else PASS_POINT
