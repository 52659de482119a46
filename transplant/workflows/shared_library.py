"""A library of several processes: the first one writes, the others see what it has written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from transplant.library import Entry, Library
    from transplant.ranks import Ranks


def shared(library: Library, ranks: Ranks) -> Library:
    """The library as one of several processes has it; itself where there is one."""
    if ranks.count == 1 or isinstance(library, _SharedLibrary):
        return library
    return cast("Library", _SharedLibrary(library, ranks))


class _SharedLibrary:
    """Reads as its library does; names are taken and artifacts written by the first process alone.

    It writes an artifact when all have come so far, and all go on when it has written.

    Args:
        library: of this process; all of them have the same root.
        ranks: which process this is.
    """

    def __init__(self, library: Library, ranks: Ranks) -> None:
        self._library, self._ranks = library, ranks

    def __getattr__(self, name: str) -> Any:
        """Whatever reads."""
        return getattr(self._library, name)

    def check_free(self, *args: Any, **options: Any) -> None:
        """Refuses a name that is taken; see `Library.check_free`."""
        if self._ranks.first:  # later ones would find what the first has stored
            self._library.check_free(*args, **options)

    def claim(self, *args: Any, **options: Any) -> None:
        """Takes a name before the work; see `Library.claim`."""
        if self._ranks.first:
            self._library.claim(*args, **options)

    def store(self, kind: str, name: str, *args: Any, **options: Any) -> Entry:
        """Writes an artifact; see `Library.store`."""
        self._ranks.wait()  # what it replaces may still be read
        if self._ranks.first:
            self._library.store(kind, name, *args, **options)
        return self._written(kind, name, options)

    def store_hosted(self, name: str, *args: Any, **options: Any) -> Entry:
        """Writes a module and its interface; see `Library.store_hosted`."""
        self._ranks.wait()
        if self._ranks.first:
            self._library.store_hosted(name, *args, **options)
        return self._written("module", name, options)

    def store_backbone(self, *args: Any, **options: Any) -> Entry:
        """Writes a backbone; see `Library.store_backbone`."""
        if self._ranks.first:
            self._library.store_backbone(*args, **options)
        self._ranks.wait()
        return self._library.find("backbone", options["backbone"].name)

    def remove(self, entry: Any) -> int:
        """Removes an artifact; see `Library.remove`."""
        removed = self._library.remove(entry) if self._ranks.first else 0
        self._ranks.wait()
        return removed

    def _written(self, kind: str, name: str, options: dict[str, Any]) -> Entry:
        self._ranks.wait()
        backbone = options["backbone"].name
        return self._library.find(kind, name, backbone, options.get("d_abi"))
