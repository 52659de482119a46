"""Documents: the unit of text that is split, hashed and held out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

from transplant.text.row_form import ChatTemplate


@dataclass(frozen=True)
class Document:
    """One text, and where it came from."""

    text: str
    source: str
    plain: str | None = None
    """Of a chat: its turns, the same whatever template has made the text of them."""
    part: int = field(default=0, kw_only=True)
    """Of several sources: which one it is of."""

    @property
    def identity(self) -> str:
        """What two documents that are the same have in common."""
        return self.text if self.plain is None else self.plain

    @cached_property
    def digest(self) -> str:
        """The sha256 of its text, or of a chat's turns: its identity, whatever its path."""
        return hashlib.sha256(self.identity.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Corpus:
    """What was read of a source."""

    documents: list[Document]
    """Without near-duplicates, in the source's own order."""
    skipped: tuple[str, ...]
    """What could not be read and was left out: an error's line for each."""
    reach: int | None
    """The characters after which a stream was not read on; None where all was read."""
    columns: tuple[str, ...] = ()
    """The columns that rows were read from."""
    template: ChatTemplate | None = None
    """What has made text of chats, where there are any."""
