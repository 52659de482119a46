"""Splits by document hash: which side a document is on depends on its text alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sized
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
        sides = (self.train, self.calibration, self.eval)
        return fingerprint_sides(*([d.digest for d in side] for side in sides))


def split_documents(documents: Iterable[Document], *, require_all: bool = True) -> Splits:
    """Assigns every document to train, calibration or eval by its hash.

    Raises:
        CorpusError: a side is empty and `require_all` holds.
    """
    sides: dict[str, list[Document]] = {"train": [], "calibration": [], "eval": []}
    for document in documents:
        sides[split_of(document)].append(document)
    if require_all:
        check_sides(sides)
    return Splits(**{name: tuple(side) for name, side in sides.items()})


def check_sides(sides: Mapping[str, Sized]) -> None:
    """Refuses a corpus of which a side is empty.

    Raises:
        CorpusError: it names the side.
    """
    empty = [name for name, side in sides.items() if not len(side)]
    if empty:
        raise CorpusError(
            f"too few documents to hold some out: the {' and '.join(empty)} split is empty",
            expected="about 30 documents or more",
            found=sum(map(len, sides.values())),
            hint="give more documents, or cut long files into several",
        )


def split_of(document: Document) -> str:
    """The side of one document: `train`, `calibration` or `eval`."""
    return split_of_digest(document.digest)


def split_of_digest(digest: str) -> str:
    """The side of the document with this sha256."""
    drawn = hashlib.sha256(f"{SALT}/{digest}".encode()).digest()
    draw = int.from_bytes(drawn[:8], "big") / 2**64
    if draw < EVAL_SHARE:
        return "eval"
    return "calibration" if draw < EVAL_SHARE + CALIBRATION_SHARE else "train"


def fingerprint(documents: Iterable[Document]) -> str:
    """The sha256 over the sorted document hashes: the order does not matter, the texts do."""
    return _fingerprint(document.digest for document in documents)


def fingerprint_sides(
    train: Iterable[str], calibration: Iterable[str], evaluation: Iterable[str]
) -> str:
    """One hash over the document hashes of three sides: `Splits.fingerprint` without the text."""
    parts = [_fingerprint(side) for side in (train, calibration, evaluation)]
    return hashlib.sha256("/".join(parts).encode()).hexdigest()


def _fingerprint(digests: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()
