"""The share of a module's gain that its gate keeps."""

from __future__ import annotations

import math


def kept_share(raw: float, ungated: float, gated: float) -> float | None:
    """(log raw - log gated) / (log raw - log ungated), of perplexities on the module's own domain.

    None where the module gains nothing without a gate: nothing can be kept of that.
    """
    whole = math.log(raw / ungated)
    return math.log(raw / gated) / whole if whole > 0 else None
