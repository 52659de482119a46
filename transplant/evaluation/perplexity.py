"""Perplexity of text: a token, a byte and a document, with intervals over documents."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from transplant.errors import ShapeError
from transplant.evaluation.from_nats import perplexity_of
from transplant.evaluation.intervals import Interval, paired_bootstrap, ratio_interval

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone
    from transplant.evaluation.likelihood import Likelihood
    from transplant.text.documents import Document
    from transplant.text.windows import Window

Column = NDArray[np.float64]
RESAMPLES = 2000


@dataclass(frozen=True)
class TextScores:
    """What predicting each document costs a model, and what of it was predicted."""

    documents: tuple[int, ...]
    """Their numbers in the text that was read, ascending."""
    nats: Column  # [documents]
    tokens: Column  # [documents]
    bytes: Column  # [documents]

    @classmethod
    def of(
        cls,
        likelihood: Likelihood,
        windows: Sequence[Window],
        documents: Sequence[Document],
        backbone: Backbone,
    ) -> TextScores:
        """Scores of windows, with the bytes in UTF-8 that were predicted.

        Args:
            likelihood: by document, of these windows.
            windows: what was read.
            documents: that they were cut from.
            backbone: whose rows say from where on it predicts.
        """
        sizes: dict[int, float] = {}
        for window in windows:
            first = backbone.rows_of(window).ends[0]
            text = documents[window.document].text[first : window.ends[-1]]
            size = len(text.encode(errors="surrogatepass"))
            sizes[window.document] = sizes.get(window.document, 0.0) + size
        seen = tuple(sorted(sizes))
        if len(seen) != len(likelihood.tokens):
            raise ShapeError("scores", expected=len(seen), found=len(likelihood.tokens))
        return cls(
            seen, likelihood.nats.numpy(), likelihood.tokens.numpy(),
            np.asarray([sizes[number] for number in seen]),
        )  # fmt: skip

    def summary(self, *, seed: int = 0) -> dict[str, Any]:
        """Means with 95 % intervals over documents.

        Args:
            seed: of the bootstraps.

        Returns:
            `tokens`, `bytes` and `documents`, and each with `mean` and `interval`: `ppl` a
            token, `nats_per_token`, `bits_per_byte`, and `nats_per_document`.
        """
        per_token = ratio_interval(self.nats, self.tokens, resamples=RESAMPLES, seed=seed)
        per_byte = ratio_interval(self.nats, self.bytes, resamples=RESAMPLES, seed=seed)
        ones = np.ones_like(self.nats)
        per_document = ratio_interval(self.nats, ones, resamples=RESAMPLES, seed=seed)
        return {
            "tokens": int(self.tokens.sum()),
            "bytes": int(self.bytes.sum()),
            "documents": len(self.documents),
            "ppl": _bounds(per_token, perplexity_of),
            "nats_per_token": _bounds(per_token),
            "bits_per_byte": _bounds(per_byte, _bits),
            "nats_per_document": _bounds(per_document),
        }

    def rows(self, documents: Sequence[Document]) -> list[dict[str, Any]]:
        """A record for each document: source, tokens, bytes, nats and its own perplexity."""
        return [
            {
                "source": documents[number].source, "tokens": int(tokens), "bytes": int(size),
                "nats": float(nats), "ppl": perplexity_of(nats / tokens),
            }
            for number, nats, tokens, size in zip(
                self.documents, self.nats, self.tokens, self.bytes, strict=True
            )
        ]  # fmt: skip

    def difference(self, other: TextScores, *, seed: int = 0) -> dict[str, object]:
        """Bits a byte that this costs more than another, paired over the documents of both.

        Tokens of two vocabularies are not the same unit, bytes are; where the two begin to predict
        a few characters apart, each counts its own.
        """
        shared = sorted({*self.documents} & {*other.documents})
        mine, theirs = (
            np.asarray([scores.documents.index(number) for number in shared])
            for scores in (self, other)
        )
        if not shared:
            raise ShapeError("a difference", expected="documents that both have read", found="none")
        weights = self.bytes[mine]
        rescaled = other.nats[theirs] * weights / other.bytes[theirs]
        found = paired_bootstrap(self.nats[mine], rescaled, weights, resamples=RESAMPLES, seed=seed)
        return _bounds(found, _bits)


def _bits(nats: float) -> float:
    return nats / math.log(2)


def _bounds(interval: Interval, unit: Callable[[float], float] = float) -> dict[str, object]:
    return {
        "mean": unit(interval.mean), "interval": [unit(bound) for bound in interval.as_list()],
    }  # fmt: skip
