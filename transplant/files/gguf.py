"""The header of a GGUF file, read with the standard library alone: what it holds, if it is whole.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (little-endian, version 2, 3).
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transplant.errors import BackboneError, foreign

MAGIC = b"GGUF"
VERSIONS = (2, 3)
_SCALARS = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
_STRING, _ARRAY = 8, 9
_ALIGNMENT = 32  # where the file does not say
_MOST_DIMS = 4
SUFFIX = ".gguf"
AGAIN = "download it again; its size on the hub says how many bytes it has"


@dataclass(frozen=True)
class GgufTensor:
    """One tensor, as the header describes it."""

    name: str
    """As llama.cpp calls it: `blk.0.attn_q.weight`."""
    shape: tuple[int, ...]
    """Its dimensions, the fastest first."""
    type: int
    """The number of its ggml type."""
    offset: int
    """Its first byte, counted from where the data starts."""

    @property
    def numbers(self) -> int:
        """How many it has once unpacked."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class GgufHeader:
    """What a GGUF file says that it holds."""

    file: Path
    """The file."""
    fields: dict[str, Any]
    """Its settings; of a list only how long it is."""
    tensors: tuple[GgufTensor, ...]
    """Every tensor."""
    start: int
    """The byte at which their data starts."""
    size: int
    """The bytes of the file."""

    @property
    def architecture(self) -> str:
        """The family, as llama.cpp calls it."""
        return str(self.fields.get("general.architecture", ""))

    @property
    def numbers(self) -> int:
        """How many numbers all tensors have once unpacked."""
        return sum(tensor.numbers for tensor in self.tensors)

    def check_whole(self, blocks: Mapping[int, tuple[int, int]]) -> None:
        """Refuses a file that ends before its tensors do.

        Args:
            blocks: by ggml type, the numbers of a block and its bytes.

        Raises:
            BackboneError: it is cut off, or has a type that `blocks` has not.
        """
        end = self.start
        for tensor in self.tensors:
            if tensor.type not in blocks:
                raise BackboneError(
                    f"{self.file}: tensor {tensor.name} is of an unknown type",
                    expected=f"one of {len(blocks)} types of ggml", found=tensor.type,
                    hint="upgrade the package gguf",
                )  # fmt: skip
            numbers, size = blocks[tensor.type]
            end = max(end, self.start + tensor.offset + -(-tensor.numbers // numbers) * size)
        if self.size < end:
            raise BackboneError(
                f"{self.file} is cut off", expected=f"{end:,} bytes", found=f"{self.size:,}",
                hint=AGAIN,
            )  # fmt: skip


def is_gguf(path: Path) -> bool:
    """Whether a path names a GGUF file: by its suffix, or by how it begins."""
    if path.suffix.lower() == SUFFIX:
        return True
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == MAGIC


def read_header(file: Path) -> GgufHeader:
    """The header of a GGUF file; the data is not read.

    Raises:
        BackboneError: no GGUF file, of a version that is not read, or one that ends in its header.
    """
    with foreign(f"cannot read {file}", BackboneError, expected="a GGUF file", hint=AGAIN):
        with file.open("rb") as opened:
            magic = opened.read(4)
        if magic != MAGIC:
            raise BackboneError(f"{file} is no GGUF file", expected="GGUF at its start")
        with (
            file.open("rb") as opened,
            mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as at,
        ):
            try:
                return _Cursor(at, file).header()
            except _EndError as error:
                raise BackboneError(
                    f"{file} is cut off in its header", expected=f"more than {len(at):,} bytes",
                    hint=AGAIN,
                ) from error  # fmt: skip


class _EndError(Exception):
    """The file ends within what is read."""


class _Cursor:
    """A place in a file that moves on as values are read."""

    def __init__(self, data: mmap.mmap, file: Path) -> None:
        self.data, self.file, self.at = data, file, 4

    def header(self) -> GgufHeader:
        version = self.scalar("I")
        if version not in VERSIONS:
            raise BackboneError(
                f"{self.file}: version of GGUF", expected="2 or 3, little-endian", found=version,
                hint="convert it again with a later llama.cpp",
            )  # fmt: skip
        n_tensors, n_fields = self.scalar("Q"), self.scalar("Q")
        fields = {}
        for _ in range(n_fields):
            name = self.string()
            fields[name] = self.value(self.scalar("I"))
        tensors = tuple(self.tensor() for _ in range(n_tensors))
        alignment = fields.get("general.alignment", _ALIGNMENT)
        if not isinstance(alignment, int) or alignment < 1:
            raise ValueError(f"an alignment of {alignment}")
        start = -(-self.at // alignment) * alignment
        return GgufHeader(self.file, fields, tensors, start, len(self.data))

    def tensor(self) -> GgufTensor:
        name, dims = self.string(), self.scalar("I")
        if dims > _MOST_DIMS:
            raise ValueError(f"{dims} dimensions of {name}")
        shape = tuple(self.scalar("Q") for _ in range(dims))
        return GgufTensor(name, shape, self.scalar("I"), self.scalar("Q"))

    def scalar(self, code: str) -> Any:
        size = struct.calcsize(code)
        self.check(size)
        (found,) = struct.unpack_from("<" + code, self.data, self.at)
        self.at += size
        return found

    def string(self) -> str:
        length = self.scalar("Q")
        self.check(length)
        found = self.data[self.at : self.at + length]
        self.at += length
        return found.decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY:
            return self.scalar(_SCALARS[kind])
        inner, length = self.scalar("I"), self.scalar("Q")
        if inner == _STRING:
            for _ in range(length):
                self.skip(self.scalar("Q"))
        else:
            self.skip(length * struct.calcsize(_SCALARS[inner]))
        return length

    def skip(self, size: int) -> None:
        self.check(size)
        self.at += size

    def check(self, size: int) -> None:
        if size > len(self.data) - self.at:
            raise _EndError
