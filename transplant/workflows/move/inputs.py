"""Inputs of a move: the paired rows of its texts, what chooses gains, the way between the heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from transplant.calibration.config import MoveConfig
from transplant.workflows.corpus import windows_of
from transplant.workflows.move.general_part import general_share, load_general
from transplant.workflows.move.texts import MoveTexts

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone
    from transplant.calibration.general import General
    from transplant.calibration.move import Pairing
    from transplant.calibration.output_map import OutputMap
    from transplant.text.windows import Window
    from transplant.training.row_sources import RowSource

GAIN_TOKENS = 12_000  # of the calibration split
GAIN_LOGITS = GAIN_TOKENS << 17  # of it with each correction: half as many tokens for Gemma


@dataclass
class MoveInputs(MoveTexts):
    """What a move is fitted on; each is read or computed once, when it is asked for."""

    @cached_property
    def fitting(self) -> MoveConfig:
        """How to fit, with what suits the target where `config` leaves it open."""
        from transplant.calibration.large_vocabulary import suited

        return suited(self.config, self.target)

    def check_memory(self) -> None:
        """Refuses fits that memory does not hold, before a donor writes or a native is trained.

        Raises:
            MemoryLimitError: it names what takes how much.
        """
        from transplant.calibration.move import check_move_fits

        check_move_fits(self.donor, self.target, self.fitting)

    @cached_property
    def calibration_text(self) -> Sequence[Window] | RowSource:
        """Windows of the domain's calibration split: they choose gains, nothing else."""
        text = self.learned_text.calibration
        return windows_of(self.target, text, 512, gain_tokens(self.target))

    @cached_property
    def pairing(self) -> Pairing:
        """The paired rows."""
        from transplant.calibration.move import pair_for_move

        donor, target, general = self.donor, self.target, self.general_part
        text = self.pairing_text
        with self.step("pair") as progress:
            return pair_for_move(
                donor,
                target,
                text,
                self.token_counts,
                self.fitting,
                self.work.library.root,
                general=general,
                progress=progress,
            )

    @cached_property
    def general_part(self) -> General | None:
        """The module of general text, where one is named."""
        if self.general is None:
            return None
        return load_general(self.work, self.general, self.donor, self.config.less_general)

    @cached_property
    def general_facts(self) -> dict[str, Any]:
        """How much of the donor's change is general, for reports; nothing where none is named."""
        if self.general is None:
            return {}
        pairing, head, text = self.pairing, self.output_map.wide_donor, self.learned_text
        with self.step("compare_general"):
            found = general_share(self.donor, pairing, head, text.calibration, self.config.seed)
        return {"general": found}

    @cached_property
    def output_map(self) -> OutputMap:
        """The way between the two heads, which depends on no text."""
        from transplant.calibration.output_map import map_outputs

        return map_outputs(self.donor.backbone, self.target, self.token_counts, self.fitting)


def gain_tokens(target: Backbone) -> int:
    """How many tokens of calibration text choose the gains of a target, by its vocabulary."""
    return min(GAIN_TOKENS, GAIN_LOGITS // target.vocab_size)
