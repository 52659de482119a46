"""Uncertainty of a hosted model on held-out text: entropies, disagreement, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from transplant.errors import InputError
from transplant.evaluation.intervals import over_groups
from transplant.evaluation.uq_config import MEMBERS, SCALE, UNCERTAINTIES, UqConfig
from transplant.workflows.corpus import read_as_needed, windows_of
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from torch import Tensor

    from transplant.evaluation.members import Members
    from transplant.evaluation.uncertainty import TokenUncertainty
    from transplant.modules.hosted import HostedModel
    from transplant.text.windows import Window

FORMAT = "abi-uq"


@dataclass(frozen=True)
class UqResult:
    """The report, and the metrics of every token that it sums up."""

    report: dict[str, Any]
    metrics: dict[str, Any]


def measure_uncertainty(
    work: Work,
    model: str,
    data: str | None = None,
    *,
    baseline: str | None = None,
    config: UqConfig | None = None,
) -> UqResult:
    """Measures how sure a hosted model is of its next tokens, and how right it is to be so.

    Args:
        work: library, device, seed and reporter.
        model: the hosted model.
        data: the text, of which the held-out split is read; by default the module's domain.
        baseline: another model of the same tokenizer, a backbone (a name, a folder or a hub id) or
            what is hosted on one: what each token costs it, for `route_sim()`.
        config: how.

    Raises:
        InputError: no text, or models that do not fit together.
        NotFoundError: the model, the baseline or a member is not there.
    """
    config = config or UqConfig()
    work.check_there(model=model, baseline=baseline, ensemble=config.ensemble)
    data = data or work.domain_source(model)
    if data is None:
        raise InputError(f"{model} has no domain", hint="`data`, as python")
    asked = [model, *([] if baseline is None else [baseline]), *config.ensemble]
    hosted, *beside = work.load_together(*asked)
    other = None if baseline is None else _fitting(hosted, beside.pop(0))
    members = members_of(work, hosted, config, beside)
    splits = read_as_needed(work, data, evaluation=config.eval_tokens)
    windows = windows_of(hosted.backbone, splits.eval, config.window, config.eval_tokens)
    found, documents = _measure(work, hosted, members, windows)
    their_nats = None if other is None else _nats(work, other, windows)
    names = [splits.eval[number].source for number in dict.fromkeys(documents.tolist())]
    facts = {
        "model": model,
        **({} if baseline is None else {"baseline": baseline}),
        "data": data,
        "split": splits.fingerprint,
        "method": members.method,
        "members": members.count,
        "varied": members.what,
    }
    metrics = metrics_of(facts, found, documents, names, their_nats)
    report = {**facts, **summary_of(found, documents, config.bins), "made": work.made()}
    if their_nats is not None:
        report["baseline_nats"] = float(their_nats.mean())
    return UqResult(report, metrics)


def members_of(
    work: Work, model: HostedModel, config: UqConfig, others: Sequence[HostedModel] = ()
) -> Members:
    """The members that a configuration asks for; `others` are those of an ensemble."""
    from transplant.evaluation.members import (
        dropout_layers,
        dropout_members,
        ensemble_members,
        perturbed_members,
    )

    if config.ensemble:
        return ensemble_members([model, *others])
    count = config.members or MEMBERS
    if config.method == "dropout" or (config.method == "auto" and dropout_layers(model)):
        config.check_dropout()
        return dropout_members(model, count, seed=work.seed)
    return perturbed_members(model, count, scale=config.scale or SCALE, seed=work.seed)


def _fitting(model: HostedModel, other: HostedModel) -> HostedModel:
    own = model.backbone
    if other.backbone.tokenizer_sha256 != own.tokenizer_sha256:
        raise InputError(
            "model and baseline read other tokens",
            expected=f"the tokenizer of {own.name}", found=f"that of {other.backbone.name}",
        )  # fmt: skip
    return other


def _measure(
    work: Work, model: HostedModel, members: Members, windows: Sequence[Window]
) -> tuple[TokenUncertainty, Tensor]:
    """The uncertainty of every token, and the document [tokens] of each."""
    import torch

    from transplant.evaluation.scoring import hosted_rows
    from transplant.evaluation.uncertainty import TokenUncertainty, token_uncertainty

    parts: list[TokenUncertainty] = []
    documents: list[torch.Tensor] = []
    with work.reporter.progress(f"uncertainty of {model.name}") as progress:
        for number, window in enumerate(windows, start=1):
            labels, keep = _labels(model, window)
            own = hosted_rows(model, window)[keep]
            others = [rows[keep] for rows in members.read(window)]
            parts.append(token_uncertainty(own, others, labels))
            documents.append(torch.full((len(labels),), window.document))
            progress(number, len(windows), "windows")
    return TokenUncertainty.join(parts), torch.cat(documents)


def _nats(work: Work, model: HostedModel, windows: Sequence[Window]) -> Tensor:
    """What every token costs another model [tokens]."""
    import torch

    from transplant.evaluation.scoring import hosted_rows
    from transplant.evaluation.uncertainty import token_nats

    found: list[torch.Tensor] = []
    with work.reporter.progress(f"likelihood under {model.name}") as progress:
        for number, window in enumerate(windows, start=1):
            labels, keep = _labels(model, window)
            found.append(token_nats(hosted_rows(model, window)[keep], labels))
            progress(number, len(windows), "windows")
    return torch.cat(found)


def _labels(model: HostedModel, window: Window) -> tuple[Tensor, slice]:
    """The next tokens of a window's rows, and those rows: the last may have none."""
    import torch

    from transplant.backbones.states import NO_LABEL

    labels = torch.tensor(model.backbone.rows_of(window).labels, device=model.backbone.device)
    count = int((labels != NO_LABEL).sum())
    return labels[:count], slice(count)


def summary_of(found: TokenUncertainty, documents: Tensor, bins: int) -> dict[str, Any]:
    """Means with intervals over documents, calibration, and how well errors are told."""
    from transplant.evaluation.reliability import reliability
    from transplant.evaluation.uncertainty import error_auroc

    place = documents.numpy()
    right = found.right.cpu().numpy()
    mean = partial(_mean, documents=place)
    calibration = partial(reliability, documents=place, bins=bins)
    return {
        "tokens": len(place),
        "documents": len(set(place.tolist())),
        "nats": mean(found.nats),
        "accuracy": mean(found.right),
        **{name: mean(getattr(found, name)) for name in UNCERTAINTIES},
        "mean_nats": mean(found.mean_nats),
        "calibration": calibration(found.confidence.cpu().numpy(), right).as_dict(),
        "calibration_of_mean": calibration(
            found.mean_confidence.cpu().numpy(), found.mean_right.cpu().numpy()
        ).as_dict(),
        "error_auroc": {
            name: error_auroc(getattr(found, name).cpu().numpy(), right) for name in UNCERTAINTIES
        },
    }


def _mean(values: Tensor, documents: NDArray[np.int64]) -> dict[str, Any]:
    """A mean over tokens and its 95 % interval over documents."""
    found = over_groups(values.double().cpu().numpy(), documents, resamples=2000)
    return {"mean": found.mean, "interval": found.as_list()}


def metrics_of(
    facts: dict[str, Any],
    found: TokenUncertainty,
    documents: Tensor,
    names: Sequence[str],
    baseline_nats: Tensor | None,
) -> dict[str, Any]:
    """The metrics of every token by column, and their means by document, for a file of JSON.

    Args:
        facts: what was measured.
        found: of every token.
        documents: [tokens].
        names: of the documents, in the order in which they come first.
        baseline_nats: [tokens], what each costs the baseline.
    """
    order = {number: place for place, number in enumerate(dict.fromkeys(documents.tolist()))}
    place = np.asarray([order[number] for number in documents.tolist()])
    columns = {field.name: getattr(found, field.name).cpu().numpy() for field in fields(found)}
    if baseline_nats is not None:
        columns["baseline_nats"] = baseline_nats.cpu().numpy()
    counts = np.bincount(place)
    means = {name: np.bincount(place, weights=column) / counts for name, column in columns.items()}
    return {
        "format": FORMAT,
        "version": 1,
        **facts,
        "documents": [
            {
                "source": name, "tokens": int(counts[number]),
                **{column: float(mean[number]) for column, mean in means.items()},
            }
            for number, name in enumerate(names)
        ],
        "tokens": {
            "document": place.tolist(),
            **{name: column.tolist() for name, column in columns.items()},
        },
    }  # fmt: skip
