"""Files of a corpus: which hold text, in what form, and which are refused by name."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from transplant.errors import CorpusError
from transplant.text.pgn import read_games
from transplant.text.row_form import Row, RowForm
from transplant.text.rows import (
    from_csv,
    from_json,
    from_jsonl,
    from_parquet,
    read_whole,
)

PROSE = (
    "txt text md markdown mdx rst adoc asciidoc org textile wiki tex ltx sty cls bib srt vtt log "
    "html htm diff patch po"
)
CODE = (
    "py pyi pyx pxd c h cc cpp cxx hpp hh hxx inl cu cuh java kt kts scala groovy gradle go rs "
    "swift m mm js mjs cjs jsx ts tsx vue svelte css scss sass less rb php pl pm lua r jl hs lhs "
    "ml mli fs fsi fsx ex exs erl hrl clj cljs cljc lisp lsp cl el scm rkt sh bash zsh fish ps1 "
    "bat cmd sql f for f77 f90 f95 f03 f08 pas d nim zig v sv svh vhd vhdl asm s dart cs vb cob "
    "cbl adb ads tcl awk sed cmake mk proto thrift graphql gql tf nix lean agda idr sol wat glsl "
    "vert frag hlsl wgsl metal jinja jinja2 j2"
)
TEXT_SUFFIXES = frozenset(f".{word}" for word in f"{PROSE} {CODE}".split())
"""One text in one file: prose, or the source of a program. A name without a suffix is text too."""


def _from_text(path: Path, _form: RowForm) -> Iterator[Row]:
    yield read_whole(path), str(path)


def _from_pgn(path: Path, _form: RowForm) -> Iterator[Row]:
    return ((text, f"{path}:{line}") for line, text in read_games(path))


READERS: dict[str, Callable[[Path, RowForm], Iterator[Row]]] = {
    ".jsonl": from_jsonl,
    ".ndjson": from_jsonl,
    ".json": from_json,
    ".csv": from_csv,
    ".tsv": from_csv,
    ".parquet": from_parquet,
    ".pgn": _from_pgn,
    **dict.fromkeys(("", *sorted(TEXT_SUFFIXES)), _from_text),
}
UNDERSTOOD = (
    "plain text (.txt, .md, source code), .jsonl, .json, .csv or .tsv with a text column, "
    ".parquet or .pgn"
)
PACKED = frozenset({".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip", ".tar", ".tgz", ".7z", ".rar"})
PASSED_OVER = "__pycache__"  # what Python makes of sources; hidden names are passed over, too
_KINDS = {
    stat.S_IFIFO: "a fifo", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device", stat.S_IFDIR: "a folder",
}  # fmt: skip


def read_file(path: Path, form: RowForm) -> Iterator[Row]:
    """The rows of a file that `check_file` has let pass."""
    return READERS[path.suffix.lower()](path, form)


def check_file(path: Path) -> int:
    """Returns the size of a file in bytes, if it is one that is understood; it is not opened.

    Raises:
        CorpusError: a broken link, a fifo, a socket, a device, or an unknown suffix.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise CorpusError(f"{path} cannot be read", found=_reason(path, error)) from error
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "none")
        raise CorpusError(f"{path} cannot be read", expected="a file or a folder", found=kind)
    suffix = path.suffix.lower()
    if suffix not in READERS:
        raise CorpusError(
            f"{path} is not understood", expected=UNDERSTOOD, found=repr(path.suffix),
            hint="unpack it" if suffix in PACKED else None,
        )  # fmt: skip
    return found.st_size


def list_files(folder: Path, refuse: Callable[[CorpusError], None]) -> list[Path]:
    """All files below a folder in the order of their names; links to folders are followed once.

    Hidden files and folders, and `__pycache__`, are passed over.

    Args:
        folder: where to look.
        refuse: called for each folder below it that cannot be listed.

    Raises:
        OSError: the folder itself cannot be listed.
    """
    found: list[Path] = []
    seen: set[tuple[int, int]] = set()
    pending, linked = [folder], []
    while pending or linked:  # what stands in the folder itself comes first, and names its files
        here = pending.pop() if pending else linked.pop(0)
        try:
            place = here.stat()
            if (place.st_dev, place.st_ino) in seen:
                continue
            seen.add((place.st_dev, place.st_ino))
            with os.scandir(here) as scanned:
                entries = sorted(scanned, key=lambda entry: entry.name)
        except OSError as error:
            if here == folder:
                raise
            refuse(CorpusError(f"{here} cannot be listed", found=error.strerror))
            continue
        for entry in entries:
            path = here / entry.name
            if entry.name.startswith(".") or entry.name == PASSED_OVER:
                continue
            if entry.is_dir(follow_symlinks=False):
                pending.append(path)
            elif os.path.isdir(path):
                linked.append(path)
            else:
                found.append(path)
    return sorted(found)


def _reason(path: Path, error: OSError) -> str:
    if path.is_symlink():
        return f"a link that leads nowhere: {error.strerror}"
    return error.strerror or type(error).__name__
