"""Splits by document hash: which side a document is on depends on its text alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from transplant.errors import CorpusError
from transplant.text.documents import Document

SALT = "abi/split/1"
EVAL_SHARE = 0.10
CALIBRATION_SHARE = 0.10


@dataclass(frozen=True)
class Splits:
    """Three disjoint sets of documents.

    Training sees `train`, every choice is made on `calibration`, every reported number on `eval`.
    """

    train: tuple[Document, ...]
    calibration: tuple[Document, ...]
    eval: tuple[Document, ...]

    @property
    def fingerprint(self) -> str:
        """One hash over the three sets: equal only where all three hold the same documents."""
        parts = [fingerprint(side) for side in (self.train, self.calibration, self.eval)]
        return hashlib.sha256("/".join(parts).encode()).hexdigest()


def split_documents(documents: Iterable[Document], *, require_all: bool = True) -> Splits:
    """Assigns every document to train, calibration or eval by its hash.

    Raises:
        CorpusError: a side is empty and `require_all` holds.
    """
    sides: dict[str, list[Document]] = {"train": [], "calibration": [], "eval": []}
    for document in documents:
        sides[split_of(document)].append(document)
    empty = [name for name, side in sides.items() if not side]
    if empty and require_all:
        raise CorpusError(
            f"too few documents to hold some out: the {' and '.join(empty)} split is empty",
            expected="about 30 documents or more",
            found=sum(map(len, sides.values())),
            hint="give more documents, or cut long files into several",
        )
    return Splits(**{name: tuple(side) for name, side in sides.items()})


def split_of(document: Document) -> str:
    """The side of one document: `train`, `calibration` or `eval`."""
    digest = hashlib.sha256(f"{SALT}/{document.digest}".encode()).digest()
    draw = int.from_bytes(digest[:8], "big") / 2**64
    if draw < EVAL_SHARE:
        return "eval"
    return "calibration" if draw < EVAL_SHARE + CALIBRATION_SHARE else "train"


def fingerprint(documents: Iterable[Document]) -> str:
    """The sha256 over the sorted document hashes: the order does not matter, the texts do."""
    joined = "\n".join(sorted(document.digest for document in documents))
    return hashlib.sha256(joined.encode()).hexdigest()
