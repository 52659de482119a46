"""Other sources of a domain, evaluated beside the held-out text of the one that was trained on.

A split by document holds documents out, but not the manner of their source. Here whole sources are
held out: nothing of them is trained on, chosen by or paired on. Tokenizers differ, so that bits per
byte stand beside perplexities.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transplant.workflows.corpus import read_documents_of, windows_of
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone
    from transplant.evaluation.likelihood import Likelihood, System
    from transplant.text.documents import Document
    from transplant.text.windows import Window

WINDOW = 512


@dataclass(frozen=True)
class OtherSource:
    """A source that nothing was trained on.

    Args:
        source: the corpus.
        documents: its documents without those that are in the training text, too.
        dropped: how many those were.
    """

    source: str
    documents: Sequence[Document]
    dropped: int


def read_sources(
    work: Work, sources: Mapping[str, str], used: Iterable[Document], tokens: int
) -> dict[str, OtherSource]:
    """Reads other sources of a domain, by their names.

    Args:
        work: the setting.
        sources: corpora by name.
        used: the documents that are trained on, chosen by or paired on.
        tokens: that will be evaluated on, of each.

    Raises:
        CorpusError: nothing there, or nothing left that was not used.
    """
    from transplant.errors import CorpusError
    from transplant.text.limits import stream_chars

    digests = {document.digest for document in used}
    found = {}
    for name, source in sources.items():
        documents = read_documents_of(work, source, stream_chars=stream_chars(train=tokens))
        kept = [document for document in documents if document.digest not in digests]
        if not kept:
            raise CorpusError(
                f"{name} ({source}) is no other source", expected="documents that were not used",
                found=f"{len(documents)}, all in the training text",
            )  # fmt: skip
        found[name] = OtherSource(source, kept, len(documents) - len(kept))
    return found


def judge_sources(
    work: Work,
    backbone: Backbone,
    systems: Mapping[str, System],
    held_out: Sequence[Document],
    others: Mapping[str, OtherSource],
    tokens: int,
) -> dict[str, Any]:
    """The report of `in_source` and `out_of_source`, apart.

    Args:
        work: the setting.
        backbone: the target.
        systems: `raw`, `native` where there is one, and others.
        held_out: the held-out documents of the source that was trained on.
        others: as `read_sources` gives them.
        tokens: to evaluate on, of each source.
    """
    report: dict[str, Any] = {
        "in_source": judge_source(work, backbone, systems, held_out, tokens, "in source")
    }
    report["out_of_source"] = {
        name: {
            "source": other.source,
            "dropped": other.dropped,
            **judge_source(work, backbone, systems, other.documents, tokens, name),
        }
        for name, other in others.items()
    }
    return report


def judge_source(
    work: Work,
    backbone: Backbone,
    systems: Mapping[str, System],
    documents: Sequence[Document],
    tokens: int,
    name: str,
) -> dict[str, Any]:
    """Perplexity, bits per byte, gain over the raw backbone and recovered, on one source."""
    from transplant.evaluation.likelihood import score_documents

    windows = windows_of(backbone, documents, WINDOW, tokens)
    with work.reporter.progress(f"evaluating {name}") as progress:
        scored = score_documents(backbone, windows, systems, progress=progress)
    size = predicted_bytes(backbone, windows, documents)
    return {
        "documents": len(scored["raw"].tokens),
        "tokens": int(scored["raw"].tokens.sum()),
        "bytes": size,
        "ppl": {system: found.perplexity for system, found in scored.items()},
        "bits_per_byte": {
            system: float(found.nats.sum()) / math.log(2) / size for system, found in scored.items()
        },
        **gains_of(scored),
    }


def gains_of(scored: Mapping[str, Likelihood]) -> dict[str, Any]:
    """By how many nats per token each system is better than raw, and what it has recovered."""
    from transplant.evaluation.evidence import Ceiling, difference, in_nats

    raw = scored["raw"]
    others = [name for name in scored if name != "raw"]
    judged = [name for name in others if name != "native"]
    report: dict[str, Any] = {
        "gain": {name: in_nats(difference(raw, scored[name])) for name in others},
    }
    if "native" not in scored:
        none = dict.fromkeys(judged)
        return {**report, "recovered": none, "no_ceiling": "no native was trained"}
    ceiling = Ceiling(scored)
    shares = {name: ceiling.row(name)["recovered"] for name in judged}
    return {**report, "recovered": shares, **ceiling.reason}


def predicted_bytes(
    backbone: Backbone, windows: Sequence[Window], documents: Sequence[Document]
) -> int:
    """The bytes of UTF-8 that the labelled rows of windows predict."""
    texts = (
        documents[window.document].text[backbone.rows_of(window).ends[0] : window.ends[-1]]
        for window in windows
    )
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
