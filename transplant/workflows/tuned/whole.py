"""A whole move of a fine-tune: learned, proved beside its controls, and stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from transplant.workflows.move.transfer_evidence import TransferEvidence
from transplant.workflows.move.whole import STORED
from transplant.workflows.tuned.artifact import claim_student, store_student
from transplant.workflows.tuned.evidence import tuned_report
from transplant.workflows.tuned.move import TunedMove

if TYPE_CHECKING:
    from transplant.library import Manifest


@dataclass
class WholeTunedMove(TunedMove):
    """A move of a fine-tune that can be proved and stored as one act; see `TunedMove`."""

    measured: TransferEvidence | None = field(default=None, kw_only=True)

    def claim(self, *, replace: bool = False) -> None:
        """Takes, before the work, the name of what will be stored.

        Raises:
            ExistsError: something that would be found by the same name is there.
            NotFoundError: a model that is named is not there.
        """
        self._check_there()
        self.check_sources()
        self._check_basis()
        claim_student(self, replace=replace)

    @property
    def sources(self) -> tuple[str, ...]:
        """The corpora that were asked for, that of the domain by its name where no other was."""
        return *super().sources, self.domain_source

    def _check_there(self) -> None:
        self.work.check_there(
            donor=self.base, tuned=self.module, to=self.to, general=self.general
        )  # fmt: skip

    def _check_basis(self) -> None:
        """Looks for the basis of a student, and for its ranks."""
        if self.basis is not None:
            from transplant.workflows.basis.stored import check_basis

            check_basis(self.work, self.basis)[1].allocated(self.basis)

    def evidence(
        self, *, native: str | None = None, eval_tokens: int = 40_000,
        also_eval: Mapping[str, str] | None = None, ceiling: bool = False,
    ) -> TransferEvidence:  # fmt: skip
        """Judges the student beside its controls and its ceiling.

        Args:
            native: the name of the ceiling, a module or a LoRA on the target; None or `train` for
                the domain's module, trained where it is missing; `none` for no ceiling, and no
                shares.
            eval_tokens: held-out tokens to judge on.
            also_eval: other sources of the domain, by name, to judge on, too.
            ceiling: whether donor and target are run side by side, too: what the move could reach.
        """
        report = tuned_report(self, native, eval_tokens, also_eval, beside=ceiling)
        self.measured = TransferEvidence(report)
        return self.measured

    def transfer(
        self, *, native: str | None = None, eval_tokens: int = 40_000,
        also_eval: Mapping[str, str] | None = None, ceiling: bool = False, replace: bool = False,
    ) -> dict[str, Any]:  # fmt: skip
        """The whole of it: the name taken, the evidence, the student stored; see `evidence`.

        Returns:
            The report, and as what the student is stored.
        """
        with self.work.library.attempt():
            self.claim(replace=replace)
            found = self.evidence(
                native=native, eval_tokens=eval_tokens, also_eval=also_eval, ceiling=ceiling
            )
            stored = self.store(replace=replace)
        return {**found.report, "stored": {"kind": stored.kind, "sha256": stored.sha256}}

    def store(self, *, replace: bool = False) -> Manifest:
        """Writes the student, under the name that `transplant.load` then knows.

        Args:
            replace: whether what has that name may go.
        """
        learned = self.learned
        report = self.measured.report if self.measured else {}
        results = {key: report[key] for key in STORED if key in report}
        way = self.linear.config
        made = {
            **self.facts(), "gain": learned.gain, "donor_word": way.donor_word,
            "change": way.change, "longer": way.longer, "token_counts": self.token_counts,
        }  # fmt: skip
        return store_student(self, learned, made, results, replace=replace)
