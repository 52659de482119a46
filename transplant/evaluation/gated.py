"""The share of a module's gain that its gate keeps."""

from __future__ import annotations

from transplant.evaluation.evidence import CANDIDATE, NATIVE, RAW, Ceiling
from transplant.evaluation.likelihood import Likelihood


def kept_share(raw: Likelihood, ungated: Likelihood, gated: Likelihood) -> float | None:
    """(log ppl_raw - log ppl_gated) / (log ppl_raw - log ppl_ungated), on the module's own domain.

    None where the module gains nothing without a gate, as far as the interval of that gain tells:
    nothing can be kept of that.

    Args:
        raw: of the backbone, on the same documents as the others.
        ungated: with the module everywhere.
        gated: with the module where its gate is open.
    """
    found = Ceiling({RAW: raw, NATIVE: ungated, CANDIDATE: gated}).recovered(CANDIDATE)
    return None if found is None else found.mean
