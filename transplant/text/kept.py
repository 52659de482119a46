"""Kept readings: the documents of built-in corpora, and which documents are near-duplicates."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from transplant.progress import Progress, unseen
from transplant.text.builtin import installed_state, place_of
from transplant.text.cache import CacheEntry, Note, code_version, digest_of
from transplant.text.dedup import drop_near_duplicates

LEAST_KEPT = 1_000_000
"""Characters from which a corpus takes longer to compare than a file takes to be read."""


@dataclass(frozen=True)
class KeptCorpus:
    """The documents of a built-in corpus, as far as they were read before.

    Args:
        entry: of the cache.
        state: what they are read from, and by what code.
    """

    name: str
    entry: CacheEntry
    state: str

    @classmethod
    def find(cls, name: str, note: Note) -> KeptCorpus | None:
        """Where the corpus is kept; None while what it is read from is still changing."""
        state = installed_state(name)
        if state is None:
            return None
        place = digest_of([name, str(place_of(name))])[:12]  # another environment, another file
        return cls(name, CacheEntry(f"{name}-{place}", state, note), state)

    def recall(self, max_chars: int | None) -> list[tuple[str, str]] | None:
        """The rows, as a reading to `max_chars` would give them; None where they are not kept."""
        found = self.entry.recall(_decode)
        if found is None:
            return None
        rows, whole = found
        total = 0
        for number, (text, _) in enumerate(rows):
            total += len(text)
            if max_chars is not None and total >= max_chars:
                return rows[: number + 1]
        return rows if whole else None

    def keep(self, rows: Sequence[tuple[str, str]], *, whole: bool) -> None:
        """Keeps what was read, if nothing of what it was read from has changed meanwhile."""
        if installed_state(self.name) == self.state:
            self.entry.keep({"whole": whole, "documents": len(rows)}, rows)


def _decode(facts: dict[str, Any], rows: list[Any]) -> tuple[list[tuple[str, str]], bool]:
    found = [(text, where) for text, where in rows]
    if facts["documents"] != len(found) or type(facts["whole"]) is not bool:
        raise ValueError("other documents than it names")
    if not all(type(text) is str and type(where) is str for text, where in found):
        raise ValueError("a document that is no text")
    return found, facts["whole"]


def distinct(
    texts: Sequence[str], digests: Sequence[str], note: Note, progress: Progress = unseen, *,
    contained: bool = True,
) -> list[int]:  # fmt: skip
    """What `drop_near_duplicates` gives for texts, as it was found before.

    Args:
        texts: to be compared.
        digests: the sha256 of each.
        note: is told of a damaged entry.
        progress: of a comparison that is made now.
        contained: as there.
    """
    code = code_version(
        "dedup.py", "containment.py", versions=(sys.version, metadata.version("datasketch"))
    )
    if code is None or sum(map(len, texts)) < LEAST_KEPT:
        return drop_near_duplicates(texts, progress=progress, contained=contained)
    key = digest_of([code, str(contained), *digests])
    entry = CacheEntry(f"twins-{key[:24]}", key, note)
    dropped = entry.recall(lambda _, rows: _numbers(rows, len(texts)))
    if dropped is None:
        kept = drop_near_duplicates(texts, progress=progress, contained=contained)
        dropped = sorted(set(range(len(texts))).difference(kept))
        entry.keep({"texts": len(texts)}, [dropped])
    gone = set(dropped)
    return [number for number in range(len(texts)) if number not in gone]


def _numbers(rows: list[Any], count: int) -> list[int]:
    (numbers,) = rows
    if not all(type(number) is int and 0 <= number < count for number in numbers):
        raise ValueError("numbers of no document")
    return numbers
