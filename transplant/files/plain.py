"""Plain files and folders alone: nothing that hangs, and nothing outside the registry, is read.

A registry is a folder that others can write to: a manifest may be a pipe that never ends, a link to
somebody's private file, or a folder. What ships with the package is laid out by its installer,
which may link files to a store of its own; there links are followed.
"""

from __future__ import annotations

import os
import stat
from io import BufferedReader
from pathlib import Path

from transplant.errors import CorruptError, InputError, StorageError

MAX_FILE = 1 << 30
"""Bytes of a file that is read whole: a tokenizer's, at most."""
_KINDS = (
    (stat.S_ISLNK, "a link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISREG, "a file"),
)


def open_plain(path: Path, *, follow: bool = False) -> BufferedReader:
    """Open a regular file to read it; nothing else is opened, or waited for.

    Args:
        path: the file.
        follow: whether a link to one will do.

    Raises:
        CorruptError: a link, a folder, a pipe, a socket or a device.
        OSError: there is none, or the system refuses.
    """
    found = os.stat(path, follow_symlinks=follow)
    if not stat.S_ISREG(found.st_mode):
        raise _not_plain(path, found.st_mode)
    # It may have changed since: without O_NONBLOCK a pipe would wait for its writer.
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    flags |= getattr(os, "O_CLOEXEC", 0) | (0 if follow else getattr(os, "O_NOFOLLOW", 0))
    file = os.fdopen(os.open(path, flags), "rb")
    mode = os.fstat(file.fileno()).st_mode
    if not stat.S_ISREG(mode):
        file.close()
        raise _not_plain(path, mode)
    return file


def read_plain(path: Path, limit: int, *, follow: bool = False) -> bytes:
    """The bytes of a regular file of at most `limit`.

    Raises:
        CorruptError: it is larger, or no regular file.
        OSError: there is none, or the system refuses.
    """
    with open_plain(path, follow=follow) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise CorruptError(str(path), expected=f"at most {limit:,} bytes", found="more")
    return data


def check_inside(root: Path, folder: Path) -> None:
    """Refuse a folder of a registry that is reached through a link.

    Raises:
        CorruptError: naming where it leads.
    """
    expected, found = real(root) / folder.relative_to(root), real(folder)
    if found != expected:
        raise CorruptError(
            f"{folder} is reached through a link", expected=f"a folder of {root}", found=found
        )


def expand(path: str | Path) -> Path:
    """A path with `~` and `~user` replaced by home folders.

    Raises:
        InputError: no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(f"the path {path}", expected="a home folder", found="none") from error


def real(path: Path) -> Path:
    """A path without links; unlike `Path.resolve`, of a link to itself too."""
    return Path(os.path.realpath(path))


def check_plain(folder: Path, *, follow: bool = False) -> None:
    """Refuse a folder that holds anything but regular files and folders, whoever reads it.

    Raises:
        CorruptError: naming the first.
    """
    for path in sorted(folder.iterdir()):
        mode = os.stat(path, follow_symlinks=follow).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise _not_plain(path, mode)


def check_root(root: Path) -> None:
    """Refuse a root that can hold nothing; one that is absent is made by the first write.

    Raises:
        StorageError: a file, a dangling link, a folder that may not be read, or no path at all.
    """
    hint = "`registry='DIR'`, or ABI_REGISTRY, with a folder of your own"
    try:
        if root.is_symlink() and not root.exists():
            raise StorageError(
                f"the registry {root}", expected="a folder", found="a link to nothing", hint=hint
            )
        mode = os.stat(root).st_mode
        if not stat.S_ISDIR(mode):
            raise StorageError(
                f"the registry {root}", expected="a folder", found=kind_of(mode), hint=hint
            )
        os.scandir(root).close()
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise StorageError(f"cannot read the registry {root}: {error}", hint=hint) from error


def kind_of(mode: int) -> str:
    """The word for what a mode stands for."""
    return next((word for matches, word in _KINDS if matches(mode)), "no file")


def _not_plain(path: Path, mode: int) -> CorruptError:
    return CorruptError(str(path), expected="a regular file", found=kind_of(mode))
