"""Corpora by name, read once in a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transplant.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from transplant.backbones.view import Backbone
    from transplant.text.documents import Corpus, Document
    from transplant.text.splits import Splits
    from transplant.text.windows import Window
    from transplant.workflows.work import Work


DONOR = "donor"
"""What a donor writes itself, where a move asks for text to pair on."""


NAMED = 20  # files and rows left out that a run names; all of them are counted


def read_splits(
    work: Work, source: str, max_chars: int | None = None, stream_chars: int | None = None
) -> Splits:
    """The three splits of a corpus; of a stream, as far as `stream_chars` says."""
    _refuse_donor(source)
    work.reporter.note(f"reading {source}")
    reach = _at_least_as_before(work, source, stream_chars)
    corpus, splits = _split(work, source, max_chars, reach)
    _note(work, source, corpus)
    return splits


def read_as_needed(
    work: Work,
    source: str,
    chars: int | None = None,
    *,
    made: Mapping[str, Any] | None = None,
    train: int = 0,
    calibration: int = 0,
    evaluation: int = 0,
) -> Splits:
    """The three splits of a corpus, read as far as budgets need.

    Args:
        work: the setting.
        source: the corpus.
        chars: of a finite corpus no more is read, unless budgets need it; None for all of it.
        made: of a manifest that may tell how far a stream was read: it is read no less far.
        train: tokens of the training split.
        calibration: tokens of the calibration split.
        evaluation: tokens of the held-out split.
    """
    from transplant.text.limits import needed_chars, stream_chars

    budgets = {"train": train, "calibration": calibration, "evaluation": evaluation}
    reach = max(stream_chars(**budgets), read_alike(work, made or {}, source) or 0)
    most = None if chars is None else max(chars, needed_chars(**budgets))
    return read_splits(work, source, most, reach)


def read_documents_of(
    work: Work, source: str, max_chars: int | None = None, stream_chars: int | None = None
) -> list[Document]:
    """All documents of a corpus, in its own order; of a stream, as far as `stream_chars` says."""
    _refuse_donor(source)
    work.reporter.note(f"reading {source}")
    reach = _at_least_as_before(work, source, stream_chars)
    corpus = _read(work, source, max_chars, reach)
    _note(work, source, corpus)
    return corpus.documents


def read_alike(work: Work, made: Mapping[str, Any], source: str) -> int | None:
    """How far a run read a stream; its rows will be read as they were, see `JobSetting`."""
    return work.read_alike(made, source)


def read_as_far(work: Work, made: Mapping[str, Any], source: str) -> None:
    """Lets this run read a stream no less far than the one that `made` tells of."""
    reach = read_alike(work, made, source)
    if reach is not None:
        work.reading.setdefault(source, {"stream_chars": reach})


def _at_least_as_before(work: Work, source: str, stream_chars: int | None) -> int | None:
    """How far to read a stream: not less far than the run has, so that its splits are the same."""
    before = work.reading.get(source, {}).get("stream_chars", 0)
    return max(stream_chars or 0, before) or None


def _note(work: Work, source: str, corpus: Corpus) -> None:
    """Says what of a source was not read, and keeps it for the run's facts."""
    facts: dict[str, Any] = {}
    if corpus.reach is not None:
        characters = sum(len(document.text) for document in corpus.documents)
        facts["stream_chars"] = corpus.reach
        work.reporter.note(
            f"{source} is read no further than budgets need: {len(corpus.documents):,} documents, "
            f"{characters:,} characters"
        )
    if corpus.skipped:
        facts |= {"skipped": len(corpus.skipped), "first_skipped": [*corpus.skipped[:NAMED]]}
    if corpus.columns:
        facts["columns"] = [*corpus.columns]
    if corpus.template is not None:
        facts["template"] = {"of": corpus.template.name, "sha256": corpus.template.sha256}
    if facts and work.reading.get(source) != facts:
        work.reading[source] = facts
        for line in corpus.skipped[:NAMED]:
            work.reporter.warn(f"left out: {line}")
        if len(corpus.skipped) > NAMED:
            work.reporter.warn(f"left out: {len(corpus.skipped) - NAMED:,} more of {source}")


def _refuse_donor(source: str) -> None:
    if source == DONOR:
        raise InputError(
            "`donor` is text that a move is paired on, and no corpus",
            hint="`transfer(data='donor')`; a folder of that name: ./donor",
        )


_SPLIT: dict[tuple[object, ...], tuple[Corpus, Splits]] = {}
"""What this process has read last, by how it was asked for and the files as they stood."""
MOST_SPLIT = 4


def _split(
    work: Work, source: str, max_chars: int | None, stream_chars: int | None
) -> tuple[Corpus, Splits]:
    from transplant.text.splits import split_documents
    from transplant.text.state import state_of

    template = work.template.sha256 if work.template is not None else None
    column = work.text_column or work.columns.get(source)
    asked = (source, max_chars, stream_chars, work.skip_bad, column, template)
    key = (*asked, state_of(source))
    if key not in _SPLIT:
        corpus = _read(work, source, max_chars, stream_chars)
        found = corpus, split_documents(corpus.documents)
        while len(_SPLIT) >= MOST_SPLIT:
            del _SPLIT[next(iter(_SPLIT))]
        _SPLIT[key] = found
    return _SPLIT[key]


def _read(work: Work, source: str, max_chars: int | None, stream_chars: int | None) -> Corpus:
    from transplant.text.documents import read_corpus

    return read_corpus(
        source, max_chars=max_chars, stream_chars=stream_chars, skip_bad=work.skip_bad,
        text_column=work.text_column or work.columns.get(source), template=work.template,
        reporter=work.reporter,
    )  # fmt: skip


def windows_of(
    backbone: Backbone, documents: Sequence[Document], length: int, tokens: int,
    *, seed: int | None = None,
) -> list[Window]:  # fmt: skip
    """At most `tokens` tokens of windows that the backbone can read, spread over documents.

    With a seed they are of any place of a document; without one its first ones come first.
    """
    from transplant.text.spread import spread_windows

    length = min(length, backbone.context)
    return spread_windows(documents, backbone.tokenizer, length, tokens, seed=seed)
