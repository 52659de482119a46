"""Excerpts: short stretches of text that two backbones read in full, to be paired."""

from __future__ import annotations

import random
from collections.abc import Sequence

from transplant.errors import CorpusError
from transplant.text.documents import Document


def cut_excerpts(
    documents: Sequence[Document], count: int, *, chars: int = 600, seed: int = 0
) -> list[Document]:
    """Draws `count` excerpts of about `chars` characters, cut at white space.

    Each is a document of its own: both tokenizers start it at the same character. Documents take
    turns, so that as many as possible are drawn from.

    Raises:
        CorpusError: not one document is long enough.
    """
    draw = random.Random(seed)
    turns: list[list[str]] = []
    for document in documents:
        pieces = _pieces(document.text, chars)
        draw.shuffle(pieces)
        turns.append(pieces)
    draw.shuffle(turns)
    taken: list[Document] = []
    depth = 0
    while len(taken) < count and any(depth < len(pieces) for pieces in turns):
        row = [pieces[depth] for pieces in turns if depth < len(pieces)]
        taken.extend(Document(text, "excerpt") for text in row[: count - len(taken)])
        depth += 1
    if not taken:
        raise CorpusError(
            "no document is long enough to pair on", expected=f"{chars // 2} characters"
        )
    return taken


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
