"""Documents of corpora that were read before, in the user's cache folder or `$ABI_CACHE`.

Two things are kept. Of a built-in corpus its documents, as parsing thousands of modules takes a
minute: they are used again while all that they were read from (path, size, times of modification
and of change, inode of every file) and the code that reads it are the same. Of any larger corpus
which documents are near-duplicates, by the hashes of all of them: a user's text is never copied.

An entry is a line of JSON, which holds the sha256 of the rest, and lines of JSON. One that is
damaged is made anew, as is one of another version; what cannot be written is not kept. Entries are
replaced as a whole, so that runs at the same time do not disturb each other, and those that were
not used for longest go where all together exceed `CACHE_BYTES`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from transplant.errors import CorruptError, InputError
from transplant.files.plain import expand, read_plain
from transplant.files.strict_json import parse

VARIABLE = "ABI_CACHE"
CACHE_BYTES = 2**29
"""Of all entries together."""
FORMAT = "abi_corpus_cache 1"
SUFFIX, PARTIAL = ".jsonl", ".tmp"
YOUNG_S = 2.0  # before which a file may change once more within the same time stamp
ABANDONED_S = 3600.0  # after which a file that a killed run was writing is removed

Note = Callable[[str], None]


def cache_folder() -> Path | None:
    """The folder of kept corpora, which need not be there; None where no user has one."""
    chosen = os.environ.get(VARIABLE)
    try:
        folder = expand(chosen or platformdirs.user_cache_dir("abi"))
    except InputError:
        return None
    return folder / "corpora" if chosen or folder.is_absolute() else None


def code_version(*modules: str, versions: Iterable[str] = ()) -> str | None:
    """One hash of the source of these modules of this folder; None where it cannot be read.

    Args:
        modules: file names.
        versions: what else the result depends on.
    """
    digest = hashlib.sha256("\n".join(versions).encode())
    try:
        for name in modules:
            digest.update(Path(__file__).with_name(name).read_bytes())
    except OSError:
        return None
    return digest.hexdigest()


@dataclass(frozen=True)
class CacheEntry:
    """One file of the cache.

    Args:
        name: of the file, without its suffix.
        key: what its content was made from; with another one it says nothing.
        note: is told of a damaged entry, and of one that cannot be kept.
    """

    name: str
    key: str
    note: Note

    def recall(self, decode: Callable[[dict[str, Any], list[Any]], Any]) -> Any:
        """What `decode` makes of the facts and the rows; None where none are kept under the key."""
        folder = cache_folder()
        if folder is None:
            return None
        path = folder / f"{self.name}{SUFFIX}"
        try:
            facts, body = _open(path)
            if (facts["format"], facts["key"]) != (FORMAT, self.key):
                return None
            if facts["sha256"] != hashlib.sha256(body).hexdigest():
                raise ValueError("another checksum than it names")
            found = decode(facts, [parse(line) for line in _lines(body)])
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return None
        except (OSError, ValueError, TypeError, KeyError, CorruptError) as error:
            self.note(f"{path} is damaged ({error}): what it kept is made anew")
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # used just now
        return found

    def keep(self, facts: dict[str, Any], rows: Iterable[Any]) -> None:
        """Keeps facts and rows under the key, if the folder can be written to."""
        folder = cache_folder()
        if folder is None:
            return
        try:
            body = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
        except UnicodeEncodeError:  # half of a surrogate pair, which no UTF-8 file can hold
            return
        digest = hashlib.sha256(body).hexdigest()
        head = json.dumps({**facts, "format": FORMAT, "key": self.key, "sha256": digest})
        if len(body) + len(head) > CACHE_BYTES // 2:
            return
        partial = folder / f".{self.name}.{os.getpid()}.{secrets.token_hex(4)}{PARTIAL}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(head.encode() + b"\n" + body)
            partial.replace(folder / f"{self.name}{SUFFIX}")
            _prune(folder)
        except OSError as error:
            self.note(f"{folder} cannot keep what was read: {error.strerror}")
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)


def _open(path: Path) -> tuple[dict[str, Any], bytes]:
    head, _, body = read_plain(path, CACHE_BYTES).partition(b"\n")
    facts = parse(head.decode())
    if not isinstance(facts, dict):
        raise ValueError("no facts in its first line")
    return facts, body


def _lines(body: bytes) -> list[str]:
    return body.decode().split("\n")[:-1]  # `splitlines` would also cut at U+2028


def _prune(folder: Path) -> None:
    """Removes what was not used for longest until the rest fits, and what killed runs left."""
    files = [entry for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False)]
    found: list[tuple[float, int, str]] = []
    for entry in files:
        with contextlib.suppress(OSError):
            stat = entry.stat(follow_symlinks=False)
            if entry.name.endswith(SUFFIX):
                found.append((stat.st_mtime, stat.st_size, entry.path))
            elif entry.name.endswith(PARTIAL) and time.time() - stat.st_mtime > ABANDONED_S:
                os.unlink(entry.path)
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= CACHE_BYTES:
            break
        with contextlib.suppress(OSError):
            os.unlink(path)
        total -= size


def digest_of(parts: Sequence[str]) -> str:
    """The sha256 of strings, each on a line."""
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
