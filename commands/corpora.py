"""Corpora by name, read once in a run."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from transplant.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from commands.session import Session
    from transplant.backbones.view import Backbone
    from transplant.text.documents import Document
    from transplant.text.splits import Splits
    from transplant.text.windows import Window


DONOR = "donor"
"""What a donor writes itself, where a move asks for text to pair on."""


def read_splits(session: Session, source: str, max_chars: int | None = None) -> Splits:
    """The three splits of a corpus."""
    _refuse_donor(source)
    session.out.note(f"reading {source}")
    return _read(source, max_chars)


def read_documents_of(session: Session, source: str) -> list[Document]:
    """All documents of a corpus, in its own order."""
    from transplant.text.documents import read_documents

    _refuse_donor(source)
    session.out.note(f"reading {source}")
    return read_documents(source)


def _refuse_donor(source: str) -> None:
    if source == DONOR:
        raise InputError(
            "`donor` is text that a move is paired on, and no corpus",
            hint="abi transfer --data donor; a folder of that name: ./donor",
        )


@lru_cache(maxsize=4)
def _read(source: str, max_chars: int | None) -> Splits:
    from transplant.text.documents import read_documents
    from transplant.text.splits import split_documents

    return split_documents(read_documents(source, max_chars=max_chars))


def windows_of(
    backbone: Backbone, documents: Sequence[Document], length: int, tokens: int
) -> list[Window]:
    """At most `tokens` tokens of windows that the backbone can read, spread over documents."""
    from transplant.text.windows import spread_windows

    return spread_windows(documents, backbone.tokenizer, min(length, backbone.context), tokens)
