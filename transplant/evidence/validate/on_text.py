"""A model beside a baseline on one text: perplexity, calibration, drift and the NIB."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from transplant.errors import CorpusError
from transplant.evaluation.config import NIBConfig
from transplant.evaluation.drift import stability_index
from transplant.evaluation.from_nats import perplexity_of
from transplant.evaluation.intervals import Interval, over_groups
from transplant.evaluation.reliability import reliability
from transplant.evidence.validate.gate_file import Number
from transplant.evidence.validate.plan import ValidationPlan
from transplant.progress import Progress
from transplant.workflows.corpus import read_as_needed, windows_of
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.evaluation.uncertainty import TokenUncertainty
    from transplant.modules.hosted import HostedModel
    from transplant.text.documents import Document
    from transplant.text.windows import Window

NIB_TOKENS = 50_000  # that chunks are drawn from
RESAMPLES = 2_000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TextCheck:
    """What was measured on one text: the numbers that gates know, and facts beside them."""

    numbers: dict[str, Number]
    facts: dict[str, Any]


@dataclass(frozen=True)
class _Both:
    """Both models on the same tokens."""

    model: TokenUncertainty
    baseline: TokenUncertainty
    js: Floats  # [windows], nats, mean over the positions of each
    positions: NDArray[np.int64]  # [windows], how many of each
    documents: NDArray[np.int64]  # [tokens]
    owners: NDArray[np.int64]  # [windows], the document of each


def check_text(
    work: Work, plan: ValidationPlan, name: str, model: HostedModel, baseline: HostedModel
) -> TextCheck:
    """Compares two models on the held-out split of a text.

    Of a single document no number but those of the NIB's chunks has an interval: it does not tell
    what others would give.

    Args:
        work: reporter and reading.
        plan: texts and budgets.
        name: of the text.
        model: to judge.
        baseline: to compare with.
    """
    source = plan.texts[name]
    budget = max(plan.budgets.eval_tokens, NIB_TOKENS)
    splits = read_as_needed(work, source, evaluation=budget)
    windows = windows_of(model.backbone, splits.eval, plan.window, plan.budgets.eval_tokens)
    with work.reporter.progress(f"comparing on {name}") as progress:
        both = _read(model, baseline, windows, progress)
    numbers = _numbers(both)
    if name in plan.general:
        lost = _difference(both)
        numbers["forgetting"] = Number(-lost.mean, -lost.high, -lost.low)
    documents = len(np.unique(both.documents))
    if documents < 2:
        numbers = {kind: Number(number.value) for kind, number in numbers.items()}
    numbers |= _nib(work, plan, name, model, baseline, splits.eval)
    facts = {
        "source": source,
        "split": splits.fingerprint,
        "tokens": len(both.documents),
        "documents": documents,
        "baseline_perplexity": _perplexity(both.baseline, both.documents).value,
        "baseline_ece": _ece(both.baseline, both.documents).value,
    }
    return TextCheck({f"{kind}.{name}": number for kind, number in numbers.items()}, facts)


def _read(
    model: HostedModel, baseline: HostedModel, windows: Sequence[Window], progress: Progress
) -> _Both:
    import torch

    from transplant.backbones.states import NO_LABEL
    from transplant.evaluation.agreement import score_chunk
    from transplant.evaluation.scoring import hosted_rows
    from transplant.evaluation.uncertainty import TokenUncertainty, token_uncertainty

    own: list[TokenUncertainty] = []
    theirs: list[TokenUncertainty] = []
    js: list[float] = []
    for number, window in enumerate(windows, start=1):
        row = torch.tensor(model.backbone.rows_of(window).labels, device=model.backbone.device)
        labels = row[row != NO_LABEL]
        kept = slice(len(labels))
        rows, others = hosted_rows(model, window)[kept], hosted_rows(baseline, window)[kept]
        own.append(token_uncertainty(rows, (), labels))
        theirs.append(token_uncertainty(others, (), labels))
        js.append(score_chunk(others, rows).js)
        progress(number, len(windows), "windows")
    sizes = np.asarray([len(one.nats) for one in own])
    owners = np.asarray([window.document for window in windows])
    return _Both(
        TokenUncertainty.join(own), TokenUncertainty.join(theirs), np.asarray(js), sizes,
        np.repeat(owners, sizes), owners,
    )  # fmt: skip


def _numbers(both: _Both) -> dict[str, Number]:
    gain = _difference(both)
    js = over_groups(both.js * both.positions, both.owners, both.positions, resamples=RESAMPLES)
    psi = stability_index(_array(both.baseline.entropy), _array(both.model.entropy))
    return {
        "perplexity": _perplexity(both.model, both.documents),
        "gain": _number(gain),
        "ece": _ece(both.model, both.documents),
        "drift.js": _number(js),
        "drift.psi": Number(psi),
    }


def _difference(both: _Both) -> Interval:
    """By how many nats per token the model is better."""
    better = _array(both.baseline.nats) - _array(both.model.nats)
    return over_groups(better, both.documents, resamples=RESAMPLES)


def _perplexity(found: TokenUncertainty, documents: NDArray[np.int64]) -> Number:
    nats = over_groups(_array(found.nats), documents, resamples=RESAMPLES)
    return Number(perplexity_of(nats.mean), perplexity_of(nats.low), perplexity_of(nats.high))


def _ece(found: TokenUncertainty, documents: NDArray[np.int64]) -> Number:
    return _number(reliability(_array(found.confidence), _array(found.right), documents).ece)


def _nib(
    work: Work, plan: ValidationPlan, name: str, model: HostedModel, baseline: HostedModel,
    documents: Sequence[Document],
) -> dict[str, Number]:  # fmt: skip
    """The four numbers of the NIB against the baseline; none where the text is too short."""
    from transplant.evaluation.nib import CRITERIA, run_nib
    from transplant.evaluation.scoring import hosted_rows

    config = NIBConfig()
    try:
        windows = windows_of(model.backbone, documents, config.chunk_length, NIB_TOKENS)
        with work.reporter.progress(f"NIB on {name}") as progress:
            found = run_nib(
                windows, partial(hosted_rows, baseline), partial(hosted_rows, model), config,
                seeds=plan.budgets.nib_seeds, progress=progress,
            )  # fmt: skip
    except CorpusError as error:
        return {f"nib.{criterion}": Number(None, why=str(error)) for criterion in CRITERIA}
    return {f"nib.{criterion}": _number(found.intervals[criterion]) for criterion in CRITERIA}


def _number(value: Interval) -> Number:
    return Number(value.mean, value.low, value.high)


def _array(values: Any) -> Floats:
    return values.cpu().numpy().astype(np.float64)
