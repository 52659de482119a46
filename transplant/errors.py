"""Every error that this library raises on purpose.

TransplantError
├── InputError            an option or a value that cannot be used
├── CorpusError           text that is missing, empty or unreadable
├── BackboneError         a language model that cannot be loaded or viewed
├── ShapeError            tensors or widths that do not fit together
├── ArtifactError         a stored artifact that cannot be used
│   ├── NotFoundError     no artifact of that name
│   ├── ExistsError       an artifact of that name is already there
│   ├── CorruptError      bytes that differ from what the manifest promises
│   └── VersionError      written by a newer version of this tool
├── StorageError          the disk or the lock refused
├── MemoryLimitError      work that needs more memory than is free
└── NumericalError        a solve or a training step that left the finite numbers

The command line catches the base class once and prints its one line.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager


class TransplantError(Exception):
    """Base class: what went wrong, expected against found, and what to try next.

    Args:
        what: the fault, naming the file or the option.
        expected: what would have been right.
        found: what was there instead.
        hint: the next command or change to try.
    """

    def __init__(
        self,
        what: str,
        *,
        expected: object = None,
        found: object = None,
        hint: str | None = None,
    ) -> None:
        self.what = what
        self.expected = expected
        self.found = found
        self.hint = hint
        super().__init__(self.line())

    def line(self) -> str:
        """The whole message on one line."""
        line = self.what
        if self.expected is not None:
            line += f": expected {self.expected}"
            line += f", found {self.found}" if self.found is not None else ""
        elif self.found is not None:
            line += f": found {self.found}"
        return _printable(f"{line}. Try: {self.hint}" if self.hint else line)

    def as_dict(self) -> dict[str, str | None]:
        """The same facts for `--json` output."""
        return {
            "error": type(self).__name__,
            "what": self.what,
            "expected": None if self.expected is None else str(self.expected),
            "found": None if self.found is None else str(self.found),
            "hint": self.hint,
        }


def _printable(text: str) -> str:
    """Text with what would steer a terminal, or could not be encoded, as escapes."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in " \n" else ascii(char)[1:-1] for char in text
    )


class InputError(TransplantError):
    """An option or a value that cannot be used."""


class CorpusError(TransplantError):
    """Text that is missing, empty or unreadable."""


class BackboneError(TransplantError):
    """A language model that cannot be loaded or viewed."""


class ShapeError(TransplantError):
    """Tensors or widths that do not fit together."""


class ArtifactError(TransplantError):
    """A stored artifact that cannot be used."""


class NotFoundError(ArtifactError):
    """No artifact of that name."""


class ExistsError(ArtifactError):
    """An artifact of that name is already there."""


class CorruptError(ArtifactError):
    """Bytes that differ from what the manifest promises."""


class VersionError(ArtifactError):
    """An artifact written by a newer version of this tool."""


class StorageError(TransplantError):
    """The disk or the lock refused."""


class MemoryLimitError(TransplantError):
    """Work that needs more memory than is free."""


class NumericalError(TransplantError):
    """A solve or a training step that left the finite numbers."""


@contextmanager
def foreign(
    what: str, error: type[TransplantError], *, expected: object = None, hint: str | None = None
) -> Iterator[None]:
    """Gives whatever a foreign reader raises in the block one name; its cause is kept.

    A reader of files that others wrote (a model, a tokenizer, an adapter, a document, JSON) raises
    what its own code happens to raise: a KeyError of a missing field, a RecursionError of deep
    nesting, a panic of a Rust extension (a BaseException). Errors of this library pass unchanged,
    as does an interruption.

    Args:
        what: what could not be read, naming the file.
        error: the class to raise.
        expected: what would have been right.
        hint: the next thing to try.
    """
    try:
        yield
    except (TransplantError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as cause:
        raise error(what, expected=expected, found=first_line(cause), hint=hint) from cause


@contextmanager
def given_for(parameter: str) -> Iterator[None]:
    """Names the parameter that what is not there was given for; other errors pass unchanged.

    Args:
        parameter: its name.
    """
    try:
        yield
    except (NotFoundError, BackboneError) as error:
        raise type(error)(
            f"`{parameter}`: {error.what}", expected=error.expected, found=error.found,
            hint=error.hint,
        ) from None  # fmt: skip


def first_line(error: BaseException, limit: int = 200) -> str:
    """An exception as one line: its class and the first line of its message.

    A line that ends in a colon only announces the next, which is taken, too.
    """
    lines = str(error).strip().splitlines() or ["no message"]
    said = " ".join(line.strip() for line in lines[: 2 if lines[0].endswith(":") else 1])
    return f"{type(error).__name__}: {said[:limit]}"


_NO_MEMORY = (
    "can't allocate memory", "out of memory", "not enough memory", "size calculation overflowed"
)  # fmt: skip


def named_error(error: BaseException) -> TransplantError | None:
    """The named error of whatever was raised: full disk and memory, too; None for a fault."""
    if isinstance(error, TransplantError):
        return error
    text = str(error)
    if isinstance(error, MemoryError) or any(word in text.lower() for word in _NO_MEMORY):
        return StorageError(
            "the memory does not suffice", found=first_line(error),
            hint="less text, fewer layers or a smaller model",
        )  # fmt: skip
    if isinstance(error, OSError) and error.errno is not None:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        where = f" {error.filename}" if error.filename else ""
        what = f"the disk is full{where and ':'}{where}" if full else f"cannot use{where}"
        return StorageError(what, found=error.strerror)
    return None
