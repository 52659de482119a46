"""Moving, hashing and checking spans of files in chunks: memory does not grow with the file."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from transplant.errors import CorruptError
from transplant.files.header import BITS, TensorSpan

CHUNK = 1 << 19

Moved = Callable[[int], None]
"""Told of every chunk: how many bytes were moved since the last call."""

_KERNEL_CHUNK = 16 << 20
_HAND_OVER = 64 << 20  # bytes
_NO_KERNEL_COPY = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}


def _marks(keep: Callable[[int], bool]) -> bytes:
    return bytes(keep(value) for value in range(256))


# By dtype: 1 for the values that the highest byte, then the one below it, has where every exponent
# bit is set, which is what NaN and infinity are.
_ALL_ONES: dict[str, tuple[bytes, ...]] = {
    "F16": (_marks(lambda b: b & 0x7C == 0x7C),),
    "BF16": (_marks(lambda b: b & 0x7F == 0x7F), _marks(lambda b: b & 0x80 == 0x80)),
    "F32": (_marks(lambda b: b & 0x7F == 0x7F), _marks(lambda b: b & 0x80 == 0x80)),
    "F64": (_marks(lambda b: b & 0x7F == 0x7F), _marks(lambda b: b & 0xF0 == 0xF0)),
}
FLOATS = tuple(_ALL_ONES)
"""The dtypes that can be checked for NaN and infinity."""


def count_nonfinite(chunk: bytes | memoryview, dtype: str) -> int:
    """How many little-endian numbers of `chunk`, a whole number of them, are NaN or infinite."""
    width = BITS[dtype] // 8
    data = bytes(chunk)
    bits = -1
    for place, table in enumerate(_ALL_ONES[dtype], start=1):
        marks = data[width - place :: width].translate(table)
        bits &= int.from_bytes(marks, "little")  # one bit in each byte: all numbers at once
    return bits.bit_count()


def examine(span: TensorSpan) -> tuple[str, int]:
    """The sha256 of a floating tensor's bytes, and how many of its numbers are not finite.

    Raises:
        CorruptError: the file ends before the tensor does.
        OSError: the disk refused.
    """
    digest, bad = hashlib.sha256(), 0
    with span.file.open("rb", buffering=0) as file:
        for chunk in _chunks(file, span):
            digest.update(chunk)
            bad += count_nonfinite(chunk, span.dtype)
    return digest.hexdigest(), bad


def hash_from_disk(span: TensorSpan, moved: Moved = lambda _: None) -> str:
    """The sha256 of a tensor's bytes, dropped from the page cache first where that can be asked."""
    digest = hashlib.sha256()
    with span.file.open("rb", buffering=0) as file:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), span.begin, span.size, os.POSIX_FADV_DONTNEED)
        for chunk in _chunks(file, span):
            digest.update(chunk)
            moved(len(chunk))
    return digest.hexdigest()


def copy_hashed(span: TensorSpan, out: BinaryIO, moved: Moved) -> str:
    """Append a tensor's bytes to the unbuffered file `out`; return the sha256 of what was read.

    Raises:
        CorruptError: the file ends before the tensor does.
        OSError: the disk refused.
    """
    digest = hashlib.sha256()
    with span.file.open("rb", buffering=0) as file:
        for chunk in _chunks(file, span):
            digest.update(chunk)
            write_all(out, chunk)
            moved(len(chunk))
    return digest.hexdigest()


def copy_span(path: Path, begin: int, end: int, out: BinaryIO, moved: Moved) -> None:
    """Append bytes of a file to the unbuffered file `out`.

    The kernel copies where it can and both sides are at the same byte: a file system may then share
    the blocks. Between shifted places that brings nothing; chunks end at multiples of CHUNK.

    Raises:
        CorruptError: the file ends before `end`.
        OSError: the disk refused.
    """
    with path.open("rb", buffering=0) as file:
        file.seek(begin)
        left = end - begin
        same_place = out.tell() == begin
        while same_place and left:
            if not (done := _kernel_copy(file, out, min(_KERNEL_CHUNK, left))):
                break
            left -= done
            moved(done)
        rest = TensorSpan(path, "U8", (left,), end - left, end)
        handed = out.tell()
        for chunk in _chunks(file, rest, first=CHUNK - out.tell() % CHUNK):
            write_all(out, chunk)
            moved(len(chunk))
            if out.tell() - handed >= _HAND_OVER:
                handed = _hand_over(out, handed)


def _hand_over(out: BinaryIO, begin: int) -> int:
    """Let the disk start on what was written since `begin`, while more is copied; return the end.

    Left to the flush at the end, the disk would stand idle through the copy.
    """
    end = out.tell()
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(out.fileno(), begin, end - begin, os.POSIX_FADV_DONTNEED)
    return end


def write_all(out: BinaryIO, data: bytes | memoryview) -> None:
    """Write all of `data` to an unbuffered file, which may take several calls."""
    view = memoryview(data)
    while view:
        view = view[out.write(view) :]


def _kernel_copy(file: BinaryIO, out: BinaryIO, size: int) -> int:
    """Bytes that moved without passing through this process; 0 where the system cannot."""
    if not hasattr(os, "copy_file_range"):  # Linux has it
        return 0
    try:
        return os.copy_file_range(file.fileno(), out.fileno(), size)
    except OSError as error:
        if error.errno in _NO_KERNEL_COPY:
            return 0
        raise


def _chunks(file: BinaryIO, span: TensorSpan, first: int = CHUNK) -> Iterator[memoryview]:
    """The bytes of a span, each chunk overwritten by the next: `first` bytes, then CHUNK each."""
    buffer = memoryview(bytearray(min(CHUNK, span.size)))
    file.seek(span.begin)
    left, want = span.size, first
    while left:
        want = min(want, left)
        filled = 0
        while filled < want:  # whole chunks, so that no number is cut in two
            view = buffer[filled:want]
            got = file.readinto(view)  # pyright: ignore[reportAttributeAccessIssue]
            if not got:
                raise CorruptError(
                    f"{span.file}",
                    expected=f"{left - filled} more bytes",
                    found="the end of the file",
                    hint="copy or save the checkpoint again",
                )
            filled += got
        yield buffer[:want]
        left, want = left - want, CHUNK
