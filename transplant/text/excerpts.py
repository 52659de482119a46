"""Excerpts: short stretches of text that two backbones read in full, to be paired."""

from __future__ import annotations

from collections.abc import Sequence

from transplant.errors import CorpusError
from transplant.text.documents import Document


def cut_excerpts(documents: Sequence[Document], *, chars: int = 600) -> list[Document]:
    """Cuts documents into excerpts of about `chars` characters, at white space.

    Each is a document of its own: both tokenizers start it at the same character.

    Raises:
        CorpusError: not one document is long enough.
    """
    cut = [
        Document(piece, "excerpt")
        for document in documents
        for piece in _pieces(document.text, chars)
    ]
    if not cut:
        raise CorpusError(
            "no document is long enough to pair on", expected=f"{chars // 2} characters"
        )
    return cut


def _pieces(text: str, chars: int) -> list[str]:
    pieces, start = [], 0
    while len(text) - start >= chars // 2:
        stop = min(start + chars, len(text))
        if stop < len(text):
            space = max(text.rfind(" ", start + chars // 2, stop), text.rfind("\n", start, stop))
            stop = space if space > start + chars // 2 else stop
        piece = text[start:stop].strip()
        if len(piece) >= chars // 3:
            pieces.append(piece)
        start = stop
    return pieces
