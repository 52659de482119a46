"""The header of a safetensors file, read strictly and written, with the standard library alone.

The format: https://huggingface.co/docs/safetensors (8 bytes of header length, a JSON header, data).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from transplant.errors import CorruptError, StorageError
from transplant.files import strict_json
from transplant.files.plain import open_plain

_MAX_HEADER = 100_000_000  # the format's own limit
BITS = {
    "F4": 4,
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}
"""Bits of one element, by the header's word for the dtype."""
WORDS = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64",
    "int32": "I32", "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL",
    "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
}  # fmt: skip
"""The header's word for a dtype, by torch's name for it: those of most weights."""
RARE_WORDS = {
    "float8_e8m0fnu": "F8_E8M0", "float8_e4m3fnuz": "F8_E4M3FNUZ", "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "uint64": "U64", "uint32": "U32", "uint16": "U16", "complex64": "C64",
}  # fmt: skip
"""Those that a file can hold besides."""
LIST = "`list()`"  # the hint where none is given


@dataclass(frozen=True)
class TensorSpan:
    """Where the bytes of one tensor lie."""

    file: Path
    """The safetensors file."""
    dtype: str
    """The header's word for it, such as `F32`."""
    shape: tuple[int, ...]
    """Its dimensions."""
    begin: int
    """Its first byte, counted from the start of the file."""
    end: int
    """The byte after its last one."""

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.end - self.begin


@dataclass(frozen=True)
class Header:
    """What a safetensors file holds."""

    metadata: dict[str, str]
    """Its `__metadata__`."""
    tensors: dict[str, TensorSpan]
    """Every tensor, in file order."""


def read_header(path: Path, *, follow: bool = True, hint: str = LIST) -> Header:
    """Read and check the header of a file: its tensors must fill the file exactly.

    Args:
        path: the safetensors file.
        follow: whether it may be a link to one.
        hint: what to try where it is broken.

    Raises:
        CorruptError: no such file, no regular file, or one that breaks the format.
        StorageError: the disk refused to read it.
    """
    try:
        with open_plain(path, follow=follow) as file:
            return header_of(file, path, hint=hint)
    except FileNotFoundError as error:
        raise CorruptError(f"{path} is missing", hint=hint) from error
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error}") from error


def header_of(file: BinaryIO, path: Path, *, hint: str = LIST) -> Header:
    """The header of an open file; see `read_header`."""
    size = os.fstat(file.fileno()).st_size
    try:
        return _parse(file, path, size)
    except _BrokenError as error:
        raise broken(path, error.expected, error.found, hint=hint) from error


def broken(path: Path, expected: str, found: object, *, hint: str = LIST) -> CorruptError:
    """The error of a file that breaks the format."""
    return CorruptError(f"{path}", expected=expected, found=str(found)[:120], hint=hint)


def size_of(dtype: str, shape: tuple[int, ...]) -> int:
    """The bytes of a tensor."""
    return BITS[dtype] * math.prod(shape) // 8


def header_bytes(
    tensors: Iterable[tuple[str, str, tuple[int, ...]]], metadata: dict[str, str]
) -> bytes:
    """The start of a file, up to the data, for tensors given as (name, dtype, shape) in order."""
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    cursor = 0
    for name, dtype, shape in tensors:
        end = cursor + size_of(dtype, shape)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [cursor, end]}
        cursor = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the data begin aligned, as the format's own writer has it
    return len(text).to_bytes(8, "little") + text


class _BrokenError(Exception):
    """What the format asks for, and what is there."""

    def __init__(self, expected: str, found: object) -> None:
        super().__init__(expected)
        self.expected, self.found = expected, found


def _parse(file: BinaryIO, path: Path, size: int) -> Header:
    header, start = _json_of(file, size)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise _BrokenError("strings as __metadata__", metadata)
    spans = [(name, _span(path, name, entry, start)) for name, entry in header.items()]
    spans.sort(key=lambda item: (item[1].begin, item[1].end))
    cursor = start
    for name, span in spans:
        if span.begin != cursor:
            raise _BrokenError(f"{name} to begin at byte {cursor}", span.begin)
        cursor = span.end
    if cursor != size:
        raise _BrokenError(f"a file of {cursor} bytes, as its header says", size)
    return Header(metadata, dict(spans))


def _json_of(file: BinaryIO, size: int) -> tuple[dict[str, Any], int]:
    """The header as JSON, and where the data start."""
    length = int.from_bytes(file.read(8), "little")
    limit = max(0, min(_MAX_HEADER, size - 8))
    if size < 8 or length > limit:
        raise _BrokenError(f"a header of at most {limit} bytes", length)
    try:
        return strict_json.parse_object(file.read(length)), 8 + length
    except ValueError as error:
        raise _BrokenError("a JSON header", error) from error


def _span(path: Path, name: str, entry: Any, start: int) -> TensorSpan:
    try:
        dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        bits, numbers = BITS[dtype], [*shape, begin, end]
    except (KeyError, TypeError, ValueError) as error:
        raise _BrokenError(f"dtype, shape and data_offsets of {name!r}", entry) from error
    if not all(type(n) is int and n >= 0 for n in numbers) or not name.isprintable():
        raise _BrokenError(f"a name, a shape and offsets for {name!r}", entry)
    if 8 * (end - begin) != bits * math.prod(shape):
        raise _BrokenError(f"offsets of {name} that fit its shape", entry)
    return TensorSpan(path, dtype, tuple(shape), start + begin, start + end)
