"""Safetensors files: hashed and checked without torch, loaded and saved with it.

The format: https://huggingface.co/docs/safetensors (8 bytes of header length, a JSON header, data).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from transplant.errors import CorruptError, InputError, NumericalError, StorageError, foreign
from transplant.files.header import (
    BITS,
    RARE_WORDS,
    WORDS,
    TensorSpan,
    broken,
    header_bytes,
    header_of,
)
from transplant.files.plain import open_plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class TensorRecord:
    """One tensor, as the safetensors header describes it."""

    shape: tuple[int, ...]
    """Its dimensions."""
    dtype: str
    """The header's word for it, such as `F32`."""
    sha256: str
    """Hash of its raw little-endian bytes."""


_CHUNK = 1 << 20


def hash_tensors(path: Path, *, follow: bool = True) -> dict[str, TensorRecord]:
    """Shape, dtype and sha256 of every tensor of a file, in chunks of 1 MiB.

    Args:
        path: the safetensors file.
        follow: whether it may be a link to one.

    Raises:
        CorruptError: no such file, no regular file, or one that breaks the format.
        StorageError: the disk refused to read it.
    """
    try:
        with open_plain(path, follow=follow) as file:
            spans = header_of(file, path).tensors
            return {
                name: TensorRecord(
                    shape=span.shape, dtype=span.dtype, sha256=_hash_span(file, span)
                )
                for name, span in spans.items()
            }
    except FileNotFoundError as error:
        raise CorruptError(f"{path} is missing", hint="`list()`") from error
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error}") from error


def verify(
    path: Path,
    records: Mapping[str, TensorRecord],
    *,
    hint: str | None = None,
    follow: bool = True,
) -> None:
    """Compare every tensor of a file with its record.

    Args:
        path: the safetensors file.
        records: what the manifest promises.
        hint: what to try where they differ.
        follow: whether the file may be a link to one.

    Raises:
        CorruptError: naming the file, the tensor, the expected and the found.
    """
    found = hash_tensors(path, follow=follow)
    hint = hint or f"`rm({path.parent.name!r})`, and make it again"
    for tensor in sorted(records.keys() | found.keys()):
        expected, got = records.get(tensor), found.get(tensor)
        if expected == got:
            continue
        if expected is None or got is None:
            sides = ("no such tensor", "one") if expected is None else ("the tensor", "nothing")
        elif (expected.shape, expected.dtype) != (got.shape, got.dtype):
            sides = (f"{expected.dtype} {expected.shape}", f"{got.dtype} {got.shape}")
        else:
            sides = (f"sha256 {expected.sha256}", got.sha256)
        raise CorruptError(f"{path}: tensor {tensor}", expected=sides[0], found=sides[1], hint=hint)


def load(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, on the CPU. Nothing is verified but the format.

    Raises:
        CorruptError: no such file, or no safetensors.
    """
    from safetensors.torch import load_file

    with foreign(str(path), CorruptError, expected="a safetensors file", hint="`list()`"):
        return load_file(path)


def save(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors one after the other, tied or strided ones whole; one is in memory at a time.

    The library's own writers hold a copy of all of them, and its temporary file is private to this
    user and hides the errno. Wide types come first, as there, so that each tensor begins aligned.

    Args:
        path: the file.
        tensors: may be read from the disk as they are asked for, as `TensorsOnDisk` are.

    Raises:
        InputError: a dtype or a layout that the format does not have.
        OSError: the disk refused (ENOSPC where it is full).
    """
    words = {name: (_word_of(name, t), tuple(t.shape)) for name, t in tensors.items()}
    order = sorted(words, key=lambda name: (-BITS[words[name][0]], name))
    with path.open("wb") as file:
        file.write(header_bytes([(name, *words[name]) for name in order], {}))
        for name in order:
            file.write(raw_bytes(tensors[name]))


def _word_of(name: str, tensor: Tensor) -> str:
    """The format's word for the type of a tensor.

    Raises:
        InputError: it has none, or the tensor holds no plain values.
    """
    dtype = str(tensor.dtype).removeprefix("torch.")
    word = WORDS.get(dtype) or RARE_WORDS.get(dtype)
    if word is None or tensor.is_sparse or tensor.is_meta:
        raise InputError(
            f"cannot store the tensor {name}", expected="a dense tensor of a type of safetensors",
            found=f"{tensor.dtype}, {tensor.layout}, {tensor.device}",
        )  # fmt: skip
    return word


def raw_bytes(tensor: Tensor) -> memoryview:
    """The bytes of a tensor, row by row; not copied where they lie so on the CPU."""
    import torch

    plain = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
    return plain.reshape(-1).view(torch.uint8).numpy().data


def check_finite(tensors: Mapping[str, Tensor]) -> None:
    """Refuse NaN and infinities.

    Raises:
        NumericalError: naming the first tensor that holds one.
    """
    for name, tensor in tensors.items():
        if not (tensor.is_floating_point() or tensor.is_complex()):
            continue
        wide = tensor.float() if tensor.element_size() == 1 else tensor  # no isfinite on float8
        bad = int((~wide.isfinite()).sum())
        if bad:
            raise NumericalError(
                f"tensor {name}",
                expected="finite numbers",
                found=f"{bad} of {tensor.numel()} that are not",
                hint="a smaller learning rate or a larger ridge penalty",
            )


def _hash_span(file: BinaryIO, span: TensorSpan) -> str:
    digest, left = hashlib.sha256(), span.size
    file.seek(span.begin)
    while left:
        chunk = file.read(min(_CHUNK, left))
        if not chunk:
            raise broken(span.file, f"{left} more bytes", "the end of the file")
        digest.update(chunk)
        left -= len(chunk)
    return digest.hexdigest()
