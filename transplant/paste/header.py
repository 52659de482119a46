"""The header of a safetensors file, read strictly and written, with the standard library alone.

The format: https://huggingface.co/docs/safetensors (8 bytes of header length, a JSON header, data).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from transplant.errors import CorruptError, StorageError

_MAX_HEADER = 100_000_000  # the format's own limit
WIDTHS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 8),
}
"""Bytes of one element, by the header's word for the dtype."""


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


def read_header(path: Path) -> Header:
    """Read and check the header of a file: its tensors must fill the file exactly.

    Raises:
        CorruptError: no such file, or one that breaks the format.
        StorageError: the disk refused to read it.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            header, start = _parse(file, path, size)
    except FileNotFoundError as error:
        raise CorruptError(f"{path} is missing", hint="`cores()`") from error
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error}") from error
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise _broken(path, "strings as __metadata__", metadata)
    spans = [_span(path, name, entry, start) for name, entry in header.items()]
    spans.sort(key=lambda item: (item[1].begin, item[1].end))
    cursor = start
    for name, span in spans:
        if span.begin != cursor:
            raise _broken(path, f"{name} to begin at byte {cursor}", span.begin)
        cursor = span.end
    if cursor != size:
        raise _broken(path, f"a file of {cursor} bytes", size)
    return Header(metadata, dict(spans))


def header_bytes(
    tensors: Iterable[tuple[str, str, tuple[int, ...]]], metadata: dict[str, str]
) -> bytes:
    """The start of a file, up to the data, for tensors given as (name, dtype, shape) in order."""
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    cursor = 0
    for name, dtype, shape in tensors:
        end = cursor + WIDTHS[dtype] * math.prod(shape)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [cursor, end]}
        cursor = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the data begin aligned, as the format's own writer has it
    return len(text).to_bytes(8, "little") + text


def parse_object(text: bytes) -> dict[str, Any]:
    """A JSON object, without doubled keys, NaN or infinities.

    Raises:
        ValueError: anything else.
    """
    try:
        value = json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError(f"{type(value).__name__} in place of an object")
    return value


def _parse(file: BinaryIO, path: Path, size: int) -> tuple[dict[str, Any], int]:
    """The header as JSON, and where the data start."""
    length = int.from_bytes(file.read(8), "little")
    limit = max(0, min(_MAX_HEADER, size - 8))
    if size < 8 or length > limit:
        raise _broken(path, f"a header of at most {limit} bytes", length)
    try:
        return parse_object(file.read(length)), 8 + length
    except ValueError as error:
        raise _broken(path, "a JSON header", error) from error


def _span(path: Path, name: str, entry: Any, start: int) -> tuple[str, TensorSpan]:
    try:
        dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        width, numbers = WIDTHS[dtype], [*shape, begin, end]
    except (KeyError, TypeError, ValueError) as error:
        raise _broken(path, f"dtype, shape and data_offsets of {name!r}", entry) from error
    if not all(type(n) is int and n >= 0 for n in numbers) or not name.isprintable():
        raise _broken(path, f"a name, a shape and offsets for {name!r}", entry)
    if end - begin != width * math.prod(shape):
        raise _broken(path, f"offsets of {name} that fit its shape", entry)
    return name, TensorSpan(path, dtype, tuple(shape), start + begin, start + end)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(unique := dict(pairs)) != len(pairs):
        raise ValueError("a key appears twice")
    return unique


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _broken(path: Path, expected: str, found: object) -> CorruptError:
    hint = "copy or save the checkpoint again; `cores()` lists the others"
    return CorruptError(f"{path}", expected=expected, found=str(found)[:120], hint=hint)
