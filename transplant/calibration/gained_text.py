"""Documents that a donor has written, kept by how much it gained on them: log p1 - log p0.

p0 is the donor without what it learned, p1 with it. A document that both predict alike holds little
of what is to be moved. Chosen before anything is paired, what is dropped costs one pass of the
donor and nothing of the target. (Filtered synthetic text: Trans-LoRA, arXiv 2405.17258.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from transplant.backbones.view import Backbone
from transplant.evaluation.likelihood import Likelihood, System, score_documents
from transplant.modules.hosted import HostedModel
from transplant.modules.tuned import TunedDonor
from transplant.text.documents import Document
from transplant.text.windows import Window, cut_windows


def gains_on(donor: HostedModel, documents: Sequence[Document]) -> list[float]:
    """log p1 - log p0 of each document by the donor itself, in nats per token.

    Args:
        donor: a hosted module, or a base and a tuned copy of it.
        documents: what the donor has written.

    Returns:
        One number for each; -inf for a document of fewer tokens than a window has at least.

    Raises:
        CorpusError: no document is long enough.
    """
    windows = cut_windows(documents, donor.tokenizer, donor.backbone.context)
    before, after = _both(donor, windows)
    per_token = ((before.nats - after.nats) / before.tokens).tolist()
    gains = [-math.inf] * len(documents)
    for number, gain in zip(sorted({w.document for w in windows}), per_token, strict=True):
        gains[number] = gain
    return gains


def gained_most(
    documents: Sequence[Document], gains: Sequence[float], keep: int
) -> tuple[list[Document], float]:
    """The documents with the largest gains, in the order in which they were written.

    Args:
        documents: all that were written.
        gains: of each, in nats per token.
        keep: how many are kept.

    Returns:
        The documents, and the mean gain of those that have one.
    """
    best = sorted(range(len(documents)), key=lambda number: -gains[number])[:keep]
    known = [gains[number] for number in best if gains[number] > -math.inf]
    return [documents[number] for number in sorted(best)], sum(known) / len(known)


@torch.no_grad()
def _both(donor: HostedModel, windows: Sequence[Window]) -> tuple[Likelihood, Likelihood]:
    """What the windows cost without what the donor learned, and with it."""
    if isinstance(donor, TunedDonor):
        base, tuned = donor.pair.base, donor.pair.tuned
        return _score(base, windows, None), _score(tuned.backbone, windows, tuned)
    scored = score_documents(donor.backbone, windows, {"p0": None, "p1": donor.corrector})
    return scored["p0"], scored["p1"]


def _score(backbone: Backbone, windows: Sequence[Window], system: System) -> Likelihood:
    return score_documents(backbone, windows, {"it": system})["it"]
