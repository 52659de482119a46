"""A move of what several donors learned: their changes are averaged in the target's vocabulary."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from transplant.calibration.changes.spec import AUTO
from transplant.calibration.config import FIRST, LEFT_OUT, MoveConfig
from transplant.errors import InputError, given_for
from transplant.workflows.each_once import check_places, place_of
from transplant.workflows.move.writing import Writing, write_panel
from transplant.workflows.tuned.donor import Tuned, load_donor, parts_of_teacher
from transplant.workflows.tuned.move import counts_in
from transplant.workflows.tuned.whole import WholeTunedMove

if TYPE_CHECKING:
    from transplant.calibration.move import Pairing
    from transplant.calibration.output_map import OutputMap
    from transplant.modules.panel import Panel
    from transplant.modules.tuned import TunedDonor


@dataclass
class WholeTaughtMove(WholeTunedMove):
    """A move of several donors, each a base and a tuned copy of it; see `TunedMove`.

    Args:
        teachers: their names, as `python@ref-gpt2` of the library or `./my-lora@ref-gpt2`; on one
            backbone or on several.
    """

    teachers: tuple[str, ...] = field(kw_only=True)

    def __post_init__(self) -> None:
        """Refuses what cannot go together, before anything is loaded."""
        super().__post_init__()
        expected = "two or more, all different, as NAME@BACKBONE"
        if len(self.teachers) < 2:
            found = ", ".join(self.teachers) or "none"
            raise InputError("`teachers`", expected=expected, found=found)
        work, parts = self.work, self._parts
        with given_for("teachers"):
            places = [place_of(work, base) + place_of(work, tuned) for base, tuned in parts]
        check_places(self.teachers, places, "`teachers`", expected=expected)
        if self.general is not None:
            raise InputError("`general`", expected="one donor", found=", ".join(self.teachers))

    @cached_property
    def _parts(self) -> list[tuple[str, str]]:
        with given_for("teachers"):
            return [parts_of_teacher(self.work, name) for name in self.teachers]

    def _check_there(self) -> None:
        self.work.check_there(teachers=[base for base, _ in self._parts], to=self.to)

    @cached_property
    def _all(self) -> list[tuple[TunedDonor, Tuned]]:
        return [
            load_donor(self.work, base, tuned, other_base=self.other_base)
            for base, tuned in self._parts
        ]

    @cached_property
    def _panel(self) -> Panel:
        from transplant.modules.panel import Panel

        return Panel([donor for donor, _ in self._all])

    @property
    def donor(self) -> Panel:  # pyright: ignore[reportIncompatibleVariableOverride, reportIncompatibleMethodOverride]
        """All of them."""
        return self._panel

    @property
    def tuned(self) -> Tuned:
        """What the first of them is."""
        return self._all[0][1]

    @cached_property
    def fitting(self) -> MoveConfig:
        """How to fit; inside tokens nothing is learned, unless asked: donors have their own."""
        longer = FIRST if self.config.longer == AUTO else self.config.longer
        return dataclasses.replace(
            super().fitting, inside=self.config.inside or LEFT_OUT, longer=longer
        )

    @property
    def moved_name(self) -> str:
        """The student's name in the registry."""
        return self.name or f"{self.domain}-from-{len(self.teachers)}-teachers"

    @cached_property
    def all_counts(self) -> list[Mapping[str, int]]:
        """The domain's counts of each one's tokens, see `TunedMove.token_counts`."""
        carried = self._all_carried if self.text_free else [None] * len(self._all)
        return [
            own or counts_in(self.learned_text, donor.backbone)
            for own, (donor, _) in zip(carried, self._all, strict=True)
        ]

    @property
    def _all_carried(self) -> list[Mapping[str, int] | None]:
        named = zip(self.teachers, self._all, strict=True)
        return [self.carried_counts(name, own) for name, (_, own) in named]

    @property
    def module_widths(self) -> tuple[int, ...]:
        """That of a new module; of several donors none is moved as it is."""
        return (self.d_abi,)

    def check_memory(self) -> None:
        """Nothing: what several donors need is known once their rows are."""

    def _check_writer(self) -> None:
        from transplant.calibration.donor_text import start_of_texts

        for own, (donor, _) in zip(self._all_carried, self._all, strict=True):
            if self.text_free and own is None:
                start_of_texts(donor, alone=True)

    @cached_property
    def token_counts(self) -> dict[str, int]:
        """Those of the first, which choose excerpts."""
        return dict(self.all_counts[0])

    @cached_property
    def writing(self) -> Writing:
        """What they write, each an equal part."""
        donors = self._panel.teachers
        counts = self._all_carried if self.text_free else self.all_counts
        with self.step("write") as progress:
            return write_panel(donors, counts, self.config, progress)

    @cached_property
    def pairing(self) -> Pairing:
        """The rows at which all of them and the target have a boundary."""
        from transplant.calibration.panel_pairs import pair_panel

        panel, target, text = self._panel, self.target, self.pairing_text
        with self.step("pair") as progress:
            return pair_panel(
                panel, target, text, self.token_counts, self.fitting, progress=progress
            )

    @cached_property
    def output_map(self) -> OutputMap:
        """The ways from all heads to the target's."""
        from transplant.calibration.panel_pairs import map_panel

        return map_panel(self._panel, self.target, self.all_counts, self.fitting)

    @property
    def _head_facts(self) -> dict[str, Any]:
        kinds = [{"kind": tuned.kind, **tuned.facts} for _, tuned in self._all]
        bases = [base for base, _ in self._parts]
        return {"teachers": [*self.teachers], "bases": bases, "tuned_copies": kinds}

    def parents(self) -> dict[str, str]:
        """What it was made from."""
        found: dict[str, str] = {}
        for number, (donor, tuned) in enumerate(self._all):
            found[f"tuned_{number}"] = tuned.sha256
            found[f"donor_backbone_{number}"] = donor.backbone.weights_sha256
        return found
