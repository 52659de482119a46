"""Tensors that stay on the disk: each is read when it is asked for, and not kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from transplant.errors import CorruptError, StorageError
from transplant.files.header import RARE_WORDS, WORDS, TensorSpan, broken, read_header
from transplant.files.plain import open_plain
from transplant.files.safetensors import TensorRecord

if TYPE_CHECKING:
    from torch import Tensor

_DTYPES = {word: name for name, word in (WORDS | RARE_WORDS).items()}


class TensorsOnDisk(Mapping[str, "Tensor"]):
    """The tensors of safetensors files, by name.

    Args:
        files: their headers are read at once, their tensors one at a time.
        records: what each must be, compared whenever it is read; None for files that no one but
            this process has written.
        follow: whether the files may be links.

    Raises:
        CorruptError: a file that is missing or breaks the format, or other tensors than recorded.
    """

    def __init__(
        self, files: Iterable[Path], records: Mapping[str, TensorRecord] | None = None, *,
        follow: bool = False,
    ) -> None:  # fmt: skip
        self._spans: dict[str, TensorSpan] = {}
        for file in files:
            self._spans |= read_header(file, follow=follow).tensors
        self._records, self._follow = records, follow
        if records is not None and (wrong := sorted(records.keys() ^ self._spans.keys())):
            sides = ["the tensor", "nothing"] if wrong[0] in records else ["no such tensor", "one"]
            raise CorruptError(f"tensor {wrong[0]}", expected=sides[0], found=sides[1])

    def __getitem__(self, name: str) -> Tensor:
        """Reads one tensor.

        Raises:
            KeyError: there is none of that name.
            CorruptError: it is not as it was recorded.
            StorageError: the disk refused to read it.
        """
        import torch

        span = self._spans[name]
        raw = self._read(span)
        if self._records is not None:
            expected, found = self._records[name].sha256, hashlib.sha256(raw).hexdigest()
            if found != expected:
                raise CorruptError(
                    f"{span.file}: tensor {name}", expected=f"sha256 {expected}", found=found
                )
        dtype = getattr(torch, _DTYPES[span.dtype])
        if not raw:
            return torch.empty(span.shape, dtype=dtype)
        return torch.frombuffer(raw, dtype=dtype).reshape(span.shape)

    def __iter__(self) -> Iterator[str]:
        """The names, in file order."""
        return iter(self._spans)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._spans)

    def _read(self, span: TensorSpan) -> bytearray:
        raw = bytearray(span.size)
        try:
            with open_plain(span.file, follow=self._follow) as file:
                file.seek(span.begin)
                found = file.readinto(raw)
        except FileNotFoundError as error:
            raise CorruptError(f"{span.file} is missing", hint="`list()`") from error
        except OSError as error:
            raise StorageError(f"cannot read {span.file}: {error}") from error
        if found != span.size:
            raise broken(span.file, f"{span.size} bytes", found)
        return raw
