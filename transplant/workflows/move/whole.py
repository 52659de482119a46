"""A whole move: fitted, proved beside its controls, and stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transplant.workflows.move.evidence import transfer_report
from transplant.workflows.move.move import Move
from transplant.workflows.move.objective import reads_pairs, with_objective
from transplant.workflows.move.stored_bridge import with_stored_bridge
from transplant.workflows.move.transfer_evidence import ModuleEvidence

if TYPE_CHECKING:
    from transplant.calibration.objectives.choice import ObjectiveChoice
    from transplant.library import Manifest


# Of a report, in the manifest.
STORED = (
    "ppl", "recovered", "no_ceiling", "donor_attributable", "module_attributable",
    "best_donor_free", "best_module_free", "interval", "eval", "nib", "bridge", "token_coverage",
    "ceiling", "native_model",
)  # fmt: skip


@dataclass
class WholeMove(Move):
    """A move that can be proved and stored as one act; see `Move`."""

    measured: ModuleEvidence | None = None

    def start(self, objective: ObjectiveChoice | None = None) -> WholeMove:
        """The move with the bridge that is stored for it, where its objective fits as stored."""
        fits = objective is None or (reads_pairs(self, objective) and not objective.pairs_budget)
        return with_stored_bridge(self) if fits else self

    def by(self, objective: ObjectiveChoice) -> WholeMove:
        """The move calibrated by an objective."""
        return with_objective(self, objective)

    def evidence(
        self, *, native: str | None = None, eval_tokens: int = 40_000,
        also_eval: Mapping[str, str] | None = None, ceiling: bool = False,
    ) -> ModuleEvidence:  # fmt: skip
        """Judges the move beside its controls and its ceiling.

        Args:
            native: the name of the ceiling; None or `train` for the domain's, trained like the
                donor where it is missing; `none` for no ceiling, and no shares.
            eval_tokens: held-out tokens to judge on.
            also_eval: other sources of the domain, by name, to judge on, too.
            ceiling: whether donor and target are run side by side, too: what the move could reach.
        """
        report = transfer_report(self, native, eval_tokens, also_eval, beside=ceiling)
        self.measured = ModuleEvidence(report)
        return self.measured

    def transfer(
        self, *, native: str | None = None, eval_tokens: int = 40_000,
        also_eval: Mapping[str, str] | None = None, ceiling: bool = False, replace: bool = False,
    ) -> dict[str, Any]:  # fmt: skip
        """The whole of it: the name taken, the evidence, the module stored; see `evidence`.

        Returns:
            The report.
        """
        with self.work.library.attempt():
            self.claim("module", "interface", replace=replace)
            move = self.start()
            found = move.evidence(
                native=native, eval_tokens=eval_tokens, also_eval=also_eval, ceiling=ceiling
            )
            move.store(replace=replace)
        return found.report

    def store(self, results: Mapping[str, Any] | None = None, *, replace: bool = False) -> Manifest:
        """Writes the moved module, bit for bit, and its new interface.

        Args:
            results: what is recorded of it; by default what `evidence` has measured.
            replace: whether a module of that name may go.
        """
        if results is None:
            report = self.measured.report if self.measured else {}
            results = {key: report[key] for key in STORED if key in report}
        return super().store(dict(results), replace=replace)
