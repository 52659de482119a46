"""Evidence of a transfer, read from its report (DESIGN, section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TransferEvidence:
    """What a move has brought, beside its controls, on held-out documents."""

    report: dict[str, Any]
    """All of it, by the keys of its schema."""

    @property
    def ppl(self) -> Mapping[str, float]:
        """Perplexity per token of the raw target, the native, the candidate and every control."""
        return self.report["ppl"]

    @property
    def recovered(self) -> Mapping[str, float | None]:
        """(log raw - log system) / (log raw - log native) of the candidate and every control.

        None where the native gains nothing: `report["no_ceiling"]` says so.
        """
        return self.report["recovered"]

    @property
    def donor_attributable(self) -> float | None:
        """The candidate's recovered minus the best donor-free control's."""
        return self.report["donor_attributable"]


class ModuleEvidence(TransferEvidence):
    """What the move of a module has brought; of a fine-tune no module is moved, nor judged so."""

    @property
    def module_attributable(self) -> float | None:
        """The candidate's recovered minus the best module-free control's."""
        return self.report["module_attributable"]

    @property
    def nib(self) -> Mapping[str, Any]:
        """The Non-Inferiority Benchmark against the native."""
        return self.report["nib"]
