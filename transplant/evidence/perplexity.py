"""Perplexity of hosted models on one text, several of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from transplant.errors import InputError
from transplant.evaluation.perplexity import TextScores
from transplant.evaluation.perplexity_config import PerplexityConfig
from transplant.workflows.corpus import read_as_needed, read_documents_of, windows_of
from transplant.workflows.each_once import check_each_once
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone
    from transplant.evaluation.likelihood import System
    from transplant.modules.hosted import HostedModel
    from transplant.text.documents import Document

PROSE = "prose"
"""The text of models without a domain."""


def measure_perplexity(
    work: Work,
    models: Sequence[str],
    data: str | None = None,
    *,
    config: PerplexityConfig | None = None,
) -> dict[str, Any]:
    """What predicting a text costs hosted models: a token, a byte and a document.

    Windows do not cross documents, and the first token of each is read alone; see `cut_windows`.
    Models of one backbone read it once.

    Args:
        work: library, device, seed and reporter.
        models: names; the others are compared with the first.
        data: the text; by default the domain of the first module among them, else `prose`.
        config: how much is read, and whether the held-out split alone.

    Returns:
        The report: for each model its means with intervals over documents, the difference from the
        first in bits a byte, and a record for each document.

    Raises:
        InputError: no model, or one twice.
        CorpusError: a text that cannot be read, or without a held-out split.
        NotFoundError: one of the models is not there.
    """
    config = config or PerplexityConfig()
    expected = "names, each once"
    if not models:
        raise InputError("models", expected=expected, found="none")
    check_each_once(work, models, "models", expected=expected)
    work.check_there(*models)
    data = data or next(filter(None, map(work.domain_source, models)), PROSE)
    loaded = dict(zip(models, work.load_together(*models), strict=True))
    documents, fingerprint = _read(work, data, config)
    scores: dict[str, TextScores] = {}
    for backbone in {id(model.backbone): model.backbone for model in loaded.values()}.values():
        hosted = {name: model for name, model in loaded.items() if model.backbone is backbone}
        scores |= _score(work, backbone, hosted, documents, config)
    first = scores[models[0]]
    return {
        "data": data,
        "split": fingerprint,
        "whole": config.whole,
        "window": config.window,
        "models": [
            {
                "model": name,
                **scores[name].summary(),
                **({} if name == models[0] else {
                    "against": models[0],
                    "more_bits_per_byte": scores[name].difference(first),
                }),
                "per_document": scores[name].rows(documents),
            }
            for name in models
        ],
        "made": work.made(),
    }  # fmt: skip


def _read(work: Work, data: str, config: PerplexityConfig) -> tuple[Sequence[Document], str]:
    from transplant.text.limits import stream_chars
    from transplant.text.splits import fingerprint

    if config.whole:
        reach = stream_chars(evaluation=config.eval_tokens)
        documents = read_documents_of(work, data, stream_chars=reach)
        return documents, fingerprint(documents)
    splits = read_as_needed(work, data, evaluation=config.eval_tokens)
    return splits.eval, splits.fingerprint


def _score(
    work: Work,
    backbone: Backbone,
    models: dict[str, HostedModel],
    documents: Sequence[Document],
    config: PerplexityConfig,
) -> dict[str, TextScores]:
    from transplant.evaluation.likelihood import score_documents

    windows = windows_of(backbone, documents, config.window, config.eval_tokens)
    systems = {name: _system(model) for name, model in models.items()}
    with work.reporter.progress(f"reading with {', '.join(models)}") as progress:
        found = score_documents(backbone, windows, systems, progress=progress)
    return {
        name: TextScores.of(likelihood, windows, documents, backbone)
        for name, likelihood in found.items()
    }


def _system(model: HostedModel) -> System:
    """What is scored: a correction alone, of which many share a pass, or what works inside."""
    from transplant.modules.hosted import HostedModel

    return model.corrector if type(model).inside is HostedModel.inside else model
