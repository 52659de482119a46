"""Effects of interventions on a hosted model: what each target is worth, document by document.

Interchange and ablation as in causal mediation (Vig et al., arXiv:2004.12265; Wang et al.,
arXiv:2211.00593). The sign: positive where the metric gets worse without the target's own value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from transplant.backbones.states import NO_LABEL, States
from transplant.errors import CorpusError
from transplant.evaluation.intervals import Interval, ratio_interval
from transplant.modules.hosted import HostedModel
from transplant.progress import Progress, unseen
from transplant.text.windows import Window
from transplant.tracing.batch import Batch, make_batches
from transplant.tracing.config import TraceConfig
from transplant.tracing.interventions import NEEDS_MOMENTS, Scene, intervened
from transplant.tracing.metrics import Rows, likeliest_others, measure
from transplant.tracing.moments import Moments
from transplant.tracing.places import Places
from transplant.tracing.prefix import Prefix
from transplant.tracing.targets import Target


@dataclass(frozen=True)
class Effects:
    """The sum of each target's effect on each document, and the tokens that were predicted there.

    The metric's difference is summed over the predicted tokens of a document: `per_token` is its
    mean, in nats for `nll` and `kl`, in logits for `logit-diff`.
    """

    targets: tuple[Target, ...]
    sums: Tensor  # [targets, documents], float64
    tokens: Tensor  # [documents], float64
    documents: tuple[int, ...]
    passes: int
    """Passes of the model over the text: one, and one for each target."""

    def per_token(self) -> Tensor:
        """The effect of each target, float64 [targets]."""
        return self.sums.sum(1) / self.tokens.sum()

    def interval(self, index: int, level: float, seed: int) -> Interval:
        """A target's effect with its bootstrap interval over documents."""
        return ratio_interval(self.sums[index].numpy(), self.tokens.numpy(), level, seed=seed)


class Reading:
    """A hosted model that reads batches, its own changes at work; used inside `at_work`.

    Args:
        model: a backbone, alone or with a module or parts of others.
    """

    def __init__(self, model: HostedModel) -> None:
        model.backbone.require_weights("a trace")
        self.model, self.backbone = model, model.backbone
        self.places = Places(model.backbone)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Has the hosted model's changes at work inside, and keeps no graph."""
        with torch.no_grad(), self.model.inside():
            yield

    def read(self, windows: Sequence[Window]) -> tuple[States, Tensor]:
        """Labelled rows of some windows, and what the head reads of them [rows, d_model]."""
        corrector = self.model.corrector
        taps = () if corrector is None else corrector.taps
        states = self.backbone.run(windows, taps)
        hidden = states.h_last
        if corrector is not None:
            hidden = hidden + corrector(states.taps, states.windows)
        labelled = states.labels != NO_LABEL
        return states.select(labelled), hidden[labelled]


@dataclass(frozen=True)
class Intact:
    """One batch as the intact model reads it."""

    batch: Batch
    prefix: Prefix
    rows: Rows
    windows: Tensor  # [rows], the number of each row's window in the batch
    values: Tensor  # [rows], the metric


def read_intact(
    reading: Reading, batch: Batch, metric: str, below: int, moments: Moments | None = None
) -> Intact:
    """Reads a batch once, keeping what the blocks below a number give.

    Args:
        reading: the model at work.
        batch: what is read.
        metric: what is measured of it.
        below: the number of blocks whose outputs are kept.
        moments: take in the values of this batch, where there are any to take.
    """
    prefix = Prefix(reading.places)
    with prefix.kept(below):
        if moments is None:
            states, hidden = reading.read(batch.windows)
        else:
            with moments.watching(batch):
                states, hidden = reading.read(batch.windows)
    foils = None
    if metric == "logit-diff":
        foils = likeliest_others(reading.backbone, hidden, states.labels)
    rows = Rows(hidden, states.labels, foils)
    values = measure(reading.backbone, metric, hidden, rows)
    return Intact(batch, prefix, rows, states.windows.cpu(), values)


def changed_by(
    reading: Reading, intact: Intact, metric: str, target: Target, scene: Scene
) -> Tensor:
    """How much worse the metric of each row is without a target's value, in one pass: [rows].

    Raises:
        BackboneError: the target's place was never come by.
    """
    places = reading.places
    with intact.prefix.skipped(target.layer), intervened(places, target, scene):
        _, hidden = reading.read(intact.batch.windows)
    return measure(reading.backbone, metric, hidden, intact.rows) - intact.values


def trace(
    model: HostedModel,
    windows: Sequence[Window],
    targets: Sequence[Target],
    config: TraceConfig,
    *,
    progress: Progress = unseen,
) -> Effects:
    """Measures what each target is worth on some windows, one pass for each.

    The blocks below a target are not run again: their outputs are those of the intact pass.

    Args:
        model: a backbone, alone or with a module or parts of others.
        windows: held-out text; `document` numbers what intervals are taken over.
        targets: of `parse_targets`.
        config: the intervention and the metric.
        progress: is told of each pass.

    Raises:
        CorpusError: no token to predict.
        BackboneError: a target's place was never come by.
    """
    reading = Reading(model)
    batches = make_batches(model.backbone, windows, config.batch_tokens)
    tally = Tally(len(targets), [window.document for window in windows])
    below = max((target.layer for target in targets), default=0)
    steps, done = len(batches) * (1 + len(targets)), 0
    with reading.at_work():
        moments = measure_moments(reading, batches, targets, config)
        for number, batch in enumerate(batches):
            intact = read_intact(reading, batch, config.metric, below)
            scene = Scene.of(config, batch, number, moments)
            tally.count(intact)
            done += 1
            progress(done, steps, "intact")
            for index, target in enumerate(targets):
                changes = changed_by(reading, intact, config.metric, target, scene)
                tally.add(index, intact, changes)
                done += 1
                progress(done, steps, target.name)
    return tally.effects(tuple(targets), (1 + len(targets)) + int(moments is not None))


def measure_moments(
    reading: Reading, batches: Sequence[Batch], targets: Sequence[Target], config: TraceConfig
) -> Moments | None:
    """The moments of the targets' values on all batches, where the intervention needs them."""
    if config.intervention not in NEEDS_MOMENTS:
        return None
    moments = Moments(reading.places, targets)
    for batch in batches:
        with moments.watching(batch):
            reading.read(batch.windows)
    return moments


class Tally:
    """Adds the changes of rows up, by target and by document.

    Args:
        targets: the number of them.
        documents: of each window, in any order and more than once.
    """

    def __init__(self, targets: int, documents: Sequence[int]) -> None:
        self._documents = sorted(set(documents))
        self._place = {document: place for place, document in enumerate(self._documents)}
        self._sums = torch.zeros(targets, len(self._documents), dtype=torch.float64)
        self._tokens = torch.zeros(len(self._documents), dtype=torch.float64)

    def count(self, intact: Intact) -> None:
        """Takes in the predicted tokens of a batch."""
        places = self._places(intact)
        self._tokens.index_add_(0, places, torch.ones(len(places), dtype=torch.float64))

    def add(self, index: int, intact: Intact, changes: Tensor) -> None:
        """Takes in the changes [rows] that one target makes to a batch."""
        self._sums[index].index_add_(0, self._places(intact), changes.double().cpu())

    def effects(self, targets: tuple[Target, ...], passes: int) -> Effects:
        """What was taken in, of the documents that have a token to predict.

        Raises:
            CorpusError: none has.
        """
        seen = self._tokens > 0
        if not seen.any():
            raise CorpusError("no token to predict", expected="texts of 2 tokens or more")
        documents = tuple(d for d, kept in zip(self._documents, seen.tolist(), strict=True) if kept)
        return Effects(targets, self._sums[:, seen], self._tokens[seen], documents, passes)

    def _places(self, intact: Intact) -> Tensor:
        documents = intact.batch.documents[intact.windows].tolist()
        return torch.tensor([self._place[document] for document in documents])
