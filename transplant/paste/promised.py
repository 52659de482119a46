"""The tensors that a manifest promises of a core: its files are held against them as they are read.

Headers are compared at once, bytes where they are read for the paste anyway: none is read twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from transplant.errors import CorruptError
from transplant.library import TensorRecord
from transplant.paste.core import Core

Promised = Mapping[str, TensorRecord]
"""By a tensor's full name."""

_HINT = "restore the core from a copy, or remove it and make it again"


def check_headers(core: Core, promised: Promised | None) -> None:
    """Hold the names, shapes and dtypes of a core's tensors against those promised, if any are.

    Raises:
        CorruptError: names the first tensor that is missing, unknown or another.
    """
    if promised is None:
        return
    spans = core.tensors
    for name in sorted(spans.keys() | promised.keys()):
        span, record = spans.get(name), promised.get(name)
        wanted = (record.dtype, tuple(record.shape)) if record else "no such tensor"
        found = (span.dtype, span.shape) if span else "nothing"
        if wanted != found:
            file = span.file if span else core.path
            what = f"{file} is not as it was written: tensor {name}"
            raise CorruptError(what, expected=wanted, found=found, hint=_HINT)


def check_bytes(name: str, file: Path, sha256: str, promised: Promised | None) -> None:
    """Hold the hash of a tensor that was read against the one promised, if one is.

    Raises:
        CorruptError: it is another.
    """
    if promised is not None and promised[name].sha256 != sha256:
        raise CorruptError(
            f"{file} is not as it was written: tensor {name}",
            expected=f"sha256 {promised[name].sha256}",
            found=sha256,
            hint=_HINT,
        )
