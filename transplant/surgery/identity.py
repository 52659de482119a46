"""What identifies a domain module: its tensors, whatever file and folder they lie in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def module_sha256(tensors: Iterable[tuple[str, str, tuple[int, ...], str]]) -> str:
    """The identity of a module, the same as its manifest in a registry has.

    The hash of the lines `name dtype shape sha256` (shape as `4x2`), sorted, each ended by a
    newline.

    Args:
        tensors: (name, dtype, shape, sha256 of the raw bytes) of each tensor; the name within the
            module (`alpha`, not `model.domain_modules.python.alpha`).
    """
    lines = sorted(
        f"{name} {dtype} {'x'.join(map(str, shape))} {sha256}\n"
        for name, dtype, shape, sha256 in tensors
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()
