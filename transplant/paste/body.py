"""A core's tensors, body and modules, compared with its manifest: every byte is read."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transplant.errors import CorruptError
from transplant.paste.core import open_core
from transplant.paste.promised import Promised, check_bytes, check_headers
from transplant.paste.stream import hash_from_disk


@dataclass(frozen=True, kw_only=True)
class BodyVerdict:
    """Whether a core is as its manifest says."""

    tensors: int
    """How many it has."""
    differs: str | None
    """The first tensor that is another, in words; None where none is."""
    control: str | None
    """A change that the comparison sees."""

    @property
    def passed(self) -> bool:
        """Whether nothing differs, and something else would."""
        return self.differs is None and self.control is not None

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON."""
        return {**asdict(self), "pass": self.passed}


def verify_body(core: Path, promised: Promised) -> BodyVerdict:
    """Compares every tensor of a core with what its manifest says of it.

    Args:
        core: the folder.
        promised: shape, dtype and hash of each, from the manifest.

    Raises:
        CorruptError: a file that cannot be read as a core.
        OSError: the disk refused.
    """
    opened, differs = open_core(core), None
    try:
        check_headers(opened, promised)
        for name, span in opened.tensors.items():
            check_bytes(name, span.file, hash_from_disk(span), promised)
    except CorruptError as error:
        differs = error.what
    return BodyVerdict(
        tensors=len(opened.tensors), differs=differs, control=_control(opened.tensors, promised)
    )


def _control(tensors: dict[str, Any], promised: Promised) -> str | None:
    """One bit of the smallest tensor, flipped: its hash must be another than the one promised."""
    name, span = min(tensors.items(), key=lambda item: (item[1].size == 0, item[1].size))
    with span.file.open("rb") as file:
        file.seek(span.begin)
        data = bytearray(file.read(span.size))
    if not data or name not in promised:
        return None
    data[0] ^= 1
    seen = hashlib.sha256(data).hexdigest() != promised[name].sha256
    return f"bit 0 of {name}, element 0" if seen else None
