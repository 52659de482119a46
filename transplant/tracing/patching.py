"""Activation patching between clean and corrupted texts of equal length, both ways.

Symmetric token replacement, as Zhang and Nanda recommend (arXiv:2309.16042): the corrupted text
asks for another answer, and is as likely a text as the clean one. *Noising* puts a value of
the corrupted text into the clean one: what is lost shows what is needed. *Denoising* puts a clean
value into the corrupted text: what comes back shows what suffices. Both are positive where the
target matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from transplant.evaluation.intervals import Interval, ratio_interval
from transplant.modules.hosted import HostedModel
from transplant.progress import Progress, unseen
from transplant.text.windows import Window
from transplant.tracing.batch import Batch
from transplant.tracing.config import TraceConfig
from transplant.tracing.effects import Reading
from transplant.tracing.interventions import Scene, intervened
from transplant.tracing.metrics import Rows, measure
from transplant.tracing.prefix import Prefix
from transplant.tracing.targets import Target


@dataclass(frozen=True)
class TokenPair:
    """Two texts of as many tokens, and the tokens that each should be followed by."""

    clean: tuple[int, ...]
    corrupted: tuple[int, ...]
    answer: int | None = None
    """After the clean text; None for what the model holds likeliest there."""
    foil: int | None = None
    """After the corrupted one; None likewise."""


@dataclass(frozen=True)
class Patched:
    """Effects on the metric at the end of the text, pair by pair; larger where it matters more."""

    targets: tuple[Target, ...]
    noising: Tensor  # float64 [targets, pairs]: worse in the clean text
    denoising: Tensor  # float64 [targets, pairs]: better in the corrupted text
    total: Tensor  # float64 [pairs]: worse in the corrupted text than in the clean one
    pairs: tuple[int, ...]
    """The numbers of the pairs, in the order of the columns."""
    left_out: tuple[int, ...]
    """Pairs after whose two texts the model holds the same token likeliest."""
    answers: tuple[tuple[int, int], ...]
    """Answer and foil of each pair."""

    def share(self, way: str, index: int, level: float, seed: int) -> Interval | None:
        """A target's part of the whole corruption, with its interval over pairs.

        None where the corrupted texts are not worse than the clean ones.
        """
        if float(self.total.sum()) <= 0:
            return None
        effects: Tensor = getattr(self, way)[index]
        return ratio_interval(effects.numpy(), self.total.numpy(), level, seed=seed)


def patch(
    model: HostedModel,
    pairs: Sequence[TokenPair],
    targets: Sequence[Target],
    config: TraceConfig,
    *,
    progress: Progress = unseen,
) -> Patched:
    """Patches every target both ways, in one pass for each: clean and corrupted are one batch.

    Args:
        model: a backbone, alone or with a module or parts of others.
        pairs: of equal length, each by itself.
        targets: of `parse_targets`.
        config: the metric, at the last position alone: `logit-diff` of answer and foil, `nll` of
            the answer, `kl` from the clean text's predictions.
        progress: is told of each pass.
    """
    reading = Reading(model)
    groups = _groups(pairs, config.batch_tokens)
    steps, done = len(groups) * (1 + len(targets)), 0
    columns: list[_Column] = []
    with reading.at_work():
        for group in groups:
            one = _PairBatch(reading, pairs, group, config)
            done += 1
            progress(done, steps, "intact")
            for target in targets:
                one.patch(target)
                done += 1
                progress(done, steps, target.name)
            columns.extend(one.columns())
    columns.sort(key=lambda column: column.number)
    kept = [column for column in columns if column.answer != column.foil]
    none = torch.zeros(len(targets), 0, dtype=torch.float64)
    return Patched(
        targets=tuple(targets),
        noising=torch.stack([c.noising for c in kept], 1) if kept else none,
        denoising=torch.stack([c.denoising for c in kept], 1) if kept else none,
        total=torch.tensor([c.total for c in kept], dtype=torch.float64),
        pairs=tuple(column.number for column in kept),
        left_out=tuple(c.number for c in columns if c.answer == c.foil),
        answers=tuple((column.answer, column.foil) for column in kept),
    )


@dataclass(frozen=True)
class _Column:
    """What is known of one pair."""

    number: int
    answer: int
    foil: int
    total: float
    noising: Tensor  # [targets]
    denoising: Tensor


class _PairBatch:
    """The clean texts of some pairs and, behind them, the corrupted ones, read together."""

    def __init__(
        self,
        reading: Reading,
        pairs: Sequence[TokenPair],
        group: Sequence[int],
        config: TraceConfig,
    ) -> None:
        self._reading, self._group, self._config = reading, group, config
        texts = [pairs[n].clean for n in group] + [pairs[n].corrupted for n in group]
        self._windows = [_with_one_more(text, number) for number, text in enumerate(texts)]
        self._prefix = Prefix(reading.places)
        with self._prefix.kept(reading.places.layers - 1):
            hidden = self._last_rows()
        self._answers, self._foils = self._tokens(pairs, hidden)
        count = len(group)
        clean = hidden[:count].repeat(2, 1)  # `kl` is from the clean text's predictions
        self._rows = Rows(clean, self._answers.repeat(2), self._foils.repeat(2))
        self._intact = self._measure(hidden)
        partner = torch.arange(count).add(count).tolist() + [*range(count)]
        batch = Batch.of(reading.backbone, self._windows)
        swapped = replace(config, intervention="resample")
        self._scene = Scene(swapped, batch, torch.tensor(partner), None)
        self._changes: list[Tensor] = []

    def patch(self, target: Target) -> None:
        """Swaps the target's values of clean and corrupted texts in one pass."""
        places = self._reading.places
        with self._prefix.skipped(target.layer), intervened(places, target, self._scene):
            hidden = self._last_rows()
        self._changes.append(self._measure(hidden) - self._intact)

    def columns(self) -> list[_Column]:
        """Of each pair, what was found."""
        count = len(self._group)
        changes = torch.stack(self._changes).double().cpu()  # [targets, 2 * pairs]
        intact = self._intact.double().cpu()
        return [
            _Column(
                number, int(self._answers[n]), int(self._foils[n]),
                float(intact[count + n] - intact[n]), changes[:, n], -changes[:, count + n],
            )
            for n, number in enumerate(self._group)
        ]  # fmt: skip

    def _last_rows(self) -> Tensor:
        """What the head reads at the end of each text [texts, d_model]."""
        states, hidden = self._reading.read(self._windows)
        ends = states.windows.bincount(minlength=len(self._windows)).cumsum(0) - 1
        return hidden[ends]

    def _measure(self, hidden: Tensor) -> Tensor:
        return measure(self._reading.backbone, self._config.metric, hidden, self._rows)

    def _tokens(self, pairs: Sequence[TokenPair], hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Answer and foil of each pair, int64 [pairs]."""
        likeliest = self._reading.backbone.head(hidden).argmax(-1)
        count = len(self._group)
        given = [(pairs[n].answer, pairs[n].foil) for n in self._group]
        answers = [likeliest[n] if a is None else a for n, (a, _) in enumerate(given)]
        foils = [likeliest[count + n] if f is None else f for n, (_, f) in enumerate(given)]
        device = hidden.device
        return (
            torch.tensor([int(token) for token in answers], device=device),
            torch.tensor([int(token) for token in foils], device=device),
        )


def _with_one_more(text: Sequence[int], number: int) -> Window:
    """A window whose last predicted token is the one behind the text; which one does not matter."""
    return Window([*text, text[-1]], range(1, len(text) + 2), number)


def _groups(pairs: Sequence[TokenPair], tokens: int) -> list[list[int]]:
    """Pairs of like length, as many together as there are tokens for; both texts count."""
    order = sorted(range(len(pairs)), key=lambda number: -len(pairs[number].clean))
    groups: list[list[int]] = []
    for number in order:
        longest = len(pairs[groups[-1][0]].clean) if groups else 0
        if groups and 2 * (len(groups[-1]) + 1) * (longest + 1) <= tokens:
            groups[-1].append(number)
        else:
            groups.append([number])
    return groups
