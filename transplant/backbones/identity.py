"""Parts of a backbone's fingerprints and their comparison, without torch.

`fingerprint` computes the same of models in memory.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from transplant.library import difference as difference  # of two backbones, by these


def tensors_sha256(tensors: Iterable[tuple[str, str, tuple[int, ...], str]]) -> str:
    """One hash over named tensors, the same as a registry's manifest has.

    The hash of the lines `name dtype shape sha256` (shape as `4x2`), sorted, each ended by a
    newline.

    Args:
        tensors: (name, dtype, shape, sha256 of the raw bytes) of each tensor; of a domain module
            the name within it (`alpha`, not `model.domain_modules.python.alpha`).
    """
    lines = sorted(
        f"{name} {dtype} {'x'.join(map(str, shape))} {sha256}\n"
        for name, dtype, shape, sha256 in tensors
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def tokenizer_sha256(definition: dict[str, Any]) -> str:
    """The hash of a tokenizer's definition, as `tokenizer.json` holds it."""
    # Truncation and padding are set by calls, not by the tokenizer's maker.
    kept = {k: v for k, v in definition.items() if k not in ("truncation", "padding")}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
