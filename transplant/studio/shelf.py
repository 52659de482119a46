"""Artifacts of a library as the pages read them: by their own names, and by their hashes.

What comes from outside is compared with the names that the library itself lists, and with nothing
else: it is never made into a path, so that no request reads a file that is not an artifact's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from transplant.errors import NotFoundError, TransplantError
from transplant.library import Entry, Library, Manifest

MADE_HERE = "module_here"
"""The role of the module beside an interface, which stands on its page anyway."""
DEPTH = 8
"""Generations of ancestors that are followed."""


@dataclass(frozen=True)
class Relative:
    """What a hash of a lineage leads to."""

    role: str
    sha256: str
    entries: tuple[Entry, ...]
    """Those that have it; none where the library holds no such artifact."""


@dataclass(frozen=True)
class Branch:
    """An ancestor, and its own."""

    relative: Relative
    branches: tuple[Branch, ...]


class Shelf:
    """The artifacts of a library, as they are when it is made.

    Args:
        library: where they are.
    """

    def __init__(self, library: Library) -> None:
        self.entries: Sequence[Entry] = library.entries()
        self.problems: Sequence[TransplantError] = library.problems()
        self._named = {(kind_of(entry), entry.hosted): entry for entry in self.entries}
        self._by_hash: dict[str, list[Entry]] = {}
        for entry in self.entries:
            for sha256 in hashes_of(entry.manifest):
                self._by_hash.setdefault(sha256, []).append(entry)

    def find(self, kind: str, name: str) -> Entry:
        """The artifact of a kind and a full name, as `entries` has them.

        Raises:
            NotFoundError: there is none.
        """
        found = self._named.get((kind, name))
        if found is None:
            raise NotFoundError("no artifact of that kind and name is in the registry")
        return found

    def of_kind(self, *kinds: str) -> list[Entry]:
        """Those of some kinds, in the library's order."""
        return [entry for entry in self.entries if kind_of(entry) in kinds]

    def parents(self, entry: Entry) -> list[Relative]:
        """What it was made from, and the backbone that it belongs to."""
        manifest = entry.manifest
        roles = {role: sha for role, sha in manifest.parents.items() if role != MADE_HERE}
        if manifest.kind != "backbone":
            roles = {"backbone": manifest.backbone.weights_sha256, **roles}
        return [self._relative(role, sha256, entry) for role, sha256 in roles.items()]

    def ancestry(self, entry: Entry, depth: int = DEPTH) -> tuple[Branch, ...]:
        """Its parents, theirs, and so on; what is met again is not followed again."""
        return self._branches(entry, depth, {id(entry)})

    def children(self, entry: Entry) -> list[tuple[str, Entry]]:
        """What was made from it, with the role that it had."""
        own = hashes_of(entry.manifest)
        return [
            (role, other)
            for other in self.entries
            if other.hosted != entry.hosted
            for role, sha256 in other.manifest.parents.items()
            if sha256 in own and role != MADE_HERE and sha256 not in hashes_of(other.manifest)
        ]

    def copies(self, entry: Entry) -> list[Entry]:
        """Others of the same bytes: a module that was moved, or moved from."""
        same = self._by_hash.get(entry.manifest.sha256, [])
        return [other for other in same if other is not entry]

    def on(self, backbone: Entry) -> list[Entry]:
        """What belongs to a backbone, by its weights."""
        sha256 = backbone.manifest.backbone.weights_sha256
        return [
            entry
            for entry in self.entries
            if entry.manifest.backbone.weights_sha256 == sha256 and kind_of(entry) != "backbone"
        ]

    def _relative(self, role: str, sha256: str, asking: Entry) -> Relative:
        found = [entry for entry in self._by_hash.get(sha256, []) if entry is not asking]
        # Of equal bytes, the one that was not moved is what the others were made from.
        first = [entry for entry in found if sha256 not in entry.manifest.parents.values()]
        return Relative(role, sha256, tuple(first or found))

    def _branches(self, entry: Entry, depth: int, met: set[int]) -> tuple[Branch, ...]:
        def grown() -> Iterator[Branch]:
            for relative in self.parents(entry):
                first = next(iter(relative.entries), None)
                if first is None or depth < 2 or id(first) in met:
                    yield Branch(relative, ())
                else:
                    yield Branch(relative, self._branches(first, depth - 1, met | {id(first)}))

        return tuple(grown())


def kind_of(entry: Entry) -> str:
    """The kind of an artifact."""
    return entry.manifest.kind


def hashes_of(manifest: Manifest) -> set[str]:
    """The hashes that a lineage may name it by."""
    own = {manifest.sha256}
    return own | {manifest.backbone.weights_sha256} if manifest.kind == "backbone" else own
