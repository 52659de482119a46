"""Many calibrations of one move, judged together on the same held-out text."""

from __future__ import annotations

import copy
import dataclasses
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from transplant.calibration.objectives.config import LearnConfig
from transplant.calibration.objectives.spec import PAIRED, Spec, spec_of
from transplant.validation import check_held
from transplant.workflows.corpus import windows_of
from transplant.workflows.move.move import Move
from transplant.workflows.move.native import check_native, native_correction
from transplant.workflows.move.objective import learn, material_for, with_gain
from transplant.workflows.nib import nib_against

if TYPE_CHECKING:
    from transplant.calibration.objectives.run import Material
    from transplant.evaluation.likelihood import Likelihood
    from transplant.modules.correction import Correction
    from transplant.modules.domain import DomainModule
    from transplant.text.windows import Window

WINDOW = 512
MODULES = ("donor", "random", "none")
"""Whose module is behind the interface: the donor's, an untrained one's, nobody's."""


@dataclass
class Trials:
    """One move, its native ceiling, and calibrations of it that are judged side by side.

    Args:
        move: the move; it is not stored.
        native: the name of the ceiling; None for the domain's.
        eval_tokens: held-out tokens to judge on.
    """

    move: Move
    native: str | None
    eval_tokens: int
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    corrections: dict[str, Correction] = field(default_factory=dict)
    _closed: dict[tuple[str, int], Correction] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuses to be without a native, or with too little to judge on."""
        check_held(self.eval_tokens)
        check_native(self.native, "what is tried side by side")

    def pairing_also(self, windows: Sequence[Window]) -> Trials:
        """Trials of the same move with domain text to fit on; nothing that these keep is shared."""
        self.move.pairing  # noqa: B018  the pairing text is read once for all of them
        also = self.of_the_same()
        also.move, also._closed = self.move.pair_also(windows), {}
        return also

    def of_the_same(self) -> Trials:
        """Further trials of the same move: ceiling, text and closed forms stay, no row does."""
        self._domain_windows  # noqa: B018  read once for all of them
        self._held_out  # noqa: B018
        also = copy.copy(self)
        also.rows, also.corrections = {}, {}
        return also

    @cached_property
    def oracle(self) -> Correction:
        """The native module on the target: the ceiling, and the oracle of those that need one."""
        return native_correction(self.move, self.native)

    def module(self, whose: str, seed: int) -> DomainModule:
        """One of `MODULES`."""
        from transplant.modules.no_module import NoModule
        from transplant.modules.untrained import random_module

        donors = self.move.pairing.correction.module
        if whose == "none":
            return NoModule(donors.d_abi)
        return donors if whose == "donor" else random_module(donors, seed)

    def closed_form(self, whose: str, seed: int) -> Correction:
        """The move in closed form, or the same fit with another module in the donor's place."""
        from transplant.calibration.closed_form import fit_module_output
        from transplant.calibration.gain import choose_gain, scaled

        move = self.move
        if whose == "donor":
            return move.calibrated.correction
        if (whose, seed) in self._closed:
            return self._closed[whose, seed]
        fitted = fit_module_output(
            move.bridge.interface, self.module(whose, seed), move.pairing.fitted, move.wanted,
            move.choice.config,
        )  # fmt: skip
        config = move.config
        gain, _ = choose_gain(
            move.target, fitted, move.calibration_text, config.gains, solve=config.solve_gain
        )
        self._closed[whose, seed] = scaled(fitted, gain)
        return self._closed[whose, seed]

    def untouched(self, whose: str, seed: int) -> Correction:
        """A new interface that reads at random and writes nothing, with a module behind it."""
        from transplant.calibration.bridge import empty_interface
        from transplant.modules.correction import Correction

        config = dataclasses.replace(self.move.config, seed=seed)
        interface = empty_interface(self.move.pairing.correction, self.move.target, config)
        return Correction(interface, self.module(whose, seed))

    def material(self, tokens: int, calibration_tokens: int, seed: int) -> Material:
        """Everything that any objective needs, with a budget of domain text drawn by a seed."""
        every = Spec(says="any objective", needs=(PAIRED,))
        return material_for(
            self.move, every, self.draw(tokens, seed), calibration_tokens, self.oracle, self.taps
        )

    @property
    def taps(self) -> list[int]:
        """All that a calibration of this move may read."""
        return sorted({*self.move.bridge.interface.taps, *self.oracle.taps})

    def draw(self, tokens: int, seed: int) -> list[Window]:
        """Windows of the domain's training split; a smaller budget is a part of a larger one."""
        from transplant.text.spread import choose_windows

        windows = list(self._domain_windows)
        random.Random(seed).shuffle(windows)
        return choose_windows(windows, self.move.domain_text.train, tokens)

    @cached_property
    def _domain_windows(self) -> list[Window]:
        return windows_of(self.move.target, self.move.domain_text.train, WINDOW, 10**9)

    def learn(
        self,
        name: str,
        objective: str,
        start: Correction,
        material: Material,
        config: LearnConfig,
        **facts: Any,
    ) -> None:
        """Calibrates by an objective and keeps the result under a name."""
        began = time.monotonic()
        move, spec = self.move, spec_of(objective)
        learnt = learn(move, objective, start, material, config, name)
        correction = learnt.correction
        if spec.gain:
            text = move.calibration_text if material.calibration is None else material.calibration
            correction = with_gain(move, correction, move.config.gains, text).correction
        course = learnt.course
        facts |= {"steps": course.step, "best_step": course.best_step}
        if PAIRED in spec.needs:
            facts["donor_mix"] = material.donor_mix.to_dict()
        self.keep(name, correction, objective=objective, needs=list(spec.needs), **facts,
                  seconds=time.monotonic() - began)  # fmt: skip

    def keep(self, name: str, correction: Correction, **facts: Any) -> None:
        """Keeps a correction, and what is said of it, to be judged."""
        self.corrections[name] = correction
        self.rows[name] = facts
        self.move.work.reporter.note(f"{name}: {facts.get('seconds', 0.0):.1f} s")

    def judge(self, *, nib: bool = True) -> list[dict[str, Any]]:
        """Every kept correction on held-out documents: ppl, recovered, and the NIB.

        Where the native gains nothing, recovered is None, and `no_ceiling` says why.
        """
        from transplant.evaluation.evidence import Ceiling

        scored = self.score()
        ceiling = Ceiling(scored)
        rows = []
        for name, facts in self.rows.items():
            row = {"name": name, **facts, "ppl": scored[name].perplexity}
            row |= {**ceiling.row(name), **ceiling.reason}
            if nib:
                row["nib"] = nib_against(
                    self.move.target, self._chunks, self.oracle, self.corrections[name]
                )
            rows.append(row)
        return rows

    def facts(self) -> dict[str, Any]:
        """What was judged on which text, and how it was made, for the JSON."""
        move = self.move
        return {
            "donor": move.module,
            "target": move.to,
            "eval_tokens": self.eval_tokens,
            "split": move.domain_split,
            "pairing_split": move.pairing_split,
            "module_sha256": move.manifest.sha256,
            "made": move.facts(),
            "seconds": move.seconds,
        }

    def score(self) -> dict[str, Likelihood]:
        """The held-out likelihood of every kept correction, of the target and of its native."""
        from transplant.evaluation.likelihood import score_documents

        move = self.move
        systems = {"raw": None, "native": self.oracle, **self.corrections}
        with move.step("evaluate") as progress:
            return score_documents(move.target, self._held_out, systems, progress=progress)

    @cached_property
    def _held_out(self) -> list[Window]:
        return windows_of(self.move.target, self.move.domain_text.eval, WINDOW, self.eval_tokens)

    @cached_property
    def _chunks(self) -> list[Window]:
        return windows_of(self.move.target, self.move.domain_text.eval, WINDOW, 10**9)
