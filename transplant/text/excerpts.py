"""Excerpts: short stretches of text that two backbones read in full, to be paired."""

from __future__ import annotations

from collections.abc import Sequence

from transplant.errors import CorpusError
from transplant.text.documents import Document

SHORTEST = 50  # characters of a document that is an excerpt as a whole


def cut_excerpts(documents: Sequence[Document], *, chars: int = 600) -> list[Document]:
    """Cuts documents into excerpts of about `chars` characters, at white space.

    Each is a document of its own: both tokenizers start it at the same character. Documents of
    less than half of that are left out, unless most of the text is in such: games, statements and
    rows of a conversation are excerpts as they are.

    Raises:
        CorpusError: not one document is long enough.
    """
    texts, least = [document.text for document in documents], chars // 2
    if sum(len(text) for text in texts if len(text) < least) > sum(map(len, texts)) / 2:
        least = min(SHORTEST, least)
    cut = [Document(piece, "excerpt") for text in texts for piece in _pieces(text, chars, least)]
    if not cut:
        raise CorpusError(
            "no document is long enough to pair on", expected=f"{least} characters",
            found=f"{max(map(len, texts), default=0)} in the longest of {len(texts)} documents",
            hint="longer documents",
        )  # fmt: skip
    return cut


def _pieces(text: str, chars: int, least: int) -> list[str]:
    """The excerpts of a text; one of less than `least` characters has none."""
    pieces, start = [], 0
    while len(text) - start >= (chars // 2 if start else least):
        stop = min(start + chars, len(text))
        if stop < len(text):
            space = max(text.rfind(" ", start + chars // 2, stop), text.rfind("\n", start, stop))
            stop = space if space > start + chars // 2 else stop
        piece = text[start:stop].strip()
        if len(piece) >= min(least, chars // 3):
            pieces.append(piece)
        start = stop
    return pieces
