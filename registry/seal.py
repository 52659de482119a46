"""The seal of a manifest: a checksum of all that it says, in the manifest itself.

The hashes of tensors say nothing of the taps, scales, counts and records beside them, which decide
numbers as well. The seal covers the content, not the layout: it is the sha256 of the JSON without
the seal, keys sorted, no spaces, in ASCII. A manifest without one was written before there were
seals, or edited by somebody who took it off; it is read as it stands.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from transplant.errors import CorruptError, foreign

SEAL = "manifest_sha256"


def sealed(text: str) -> str:
    """The text of a manifest with its seal, in the layout of `Manifest.to_json`."""
    fields = json.loads(text)
    fields[SEAL] = _digest(fields)
    return json.dumps(fields, sort_keys=True, indent=2) + "\n"


def check_seal(fields: dict[str, Any], where: str) -> None:
    """Compare what was read with its seal; where there is none, nothing is known.

    Raises:
        CorruptError: something in it is not as it was written.
    """
    if SEAL not in fields:
        return
    with foreign(where, CorruptError, expected="JSON that can be written again"):  # too deep
        promised, found = fields[SEAL], _digest(fields)
    if promised != found:
        raise CorruptError(
            f"{where} is not as it was written",
            expected=f"{SEAL} {str(promised)[:80]}",
            found=found,
            hint="restore the file, or make the artifact again; where you have changed it yourself "
            f"and mean it, take the line {SEAL} out of it",
        )


def _digest(fields: dict[str, Any]) -> str:
    content = {key: value for key, value in fields.items() if key != SEAL}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
