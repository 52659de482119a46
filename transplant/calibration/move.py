"""One move of a module: pair, align in, align out, calibrate."""

from __future__ import annotations

import copy
import dataclasses
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Generic

from torch import Tensor

from transplant.backbones.view import Backbone
from transplant.calibration.bridge import Bridge, fit_bridge
from transplant.calibration.config import FIRST, LEFT_OUT, MoveConfig
from transplant.calibration.excerpt_selection import most_like_domain
from transplant.calibration.gain import AnyCorrection
from transplant.calibration.general import General
from transplant.calibration.mapped_corrections import MappedCorrections, map_corrections
from transplant.calibration.memory_needs import check_fits
from transplant.calibration.output_map import OutputMap
from transplant.calibration.pairs import PairedText, pair_text
from transplant.errors import InputError
from transplant.modules.correction import Correction
from transplant.modules.hosted import HostedModel
from transplant.modules.panel import Panel
from transplant.modules.tuned import TunedDonor
from transplant.progress import Progress, part_of
from transplant.text.documents import Document
from transplant.text.excerpts import cut_excerpts
from transplant.text.splits import Splits


@dataclass(frozen=True)
class Pairing:
    """The text that both backbones have read: rows to fit on and rows to judge on."""

    donor: HostedModel
    target: Backbone
    fitted: PairedText
    held_out: PairedText
    excerpts: tuple[Document, ...] = ()
    """The text of `fitted`; none where its rows came from files."""
    general: General | None = None
    """A module of general text in the donor, where its change is compared or taken away."""

    @cached_property
    def correction(self) -> Correction:
        """The donor's interface and module, on the CPU, where the fits run."""
        found = movable_module(self.donor)
        assert found is not None
        return copy.deepcopy(found).cpu()

    @property
    def donor_taps(self) -> tuple[int, ...]:
        """The layers of the donor that `change` reads."""
        return taps_of(self.donor, self.general)

    @property
    def whole_change(self) -> Callable[[Mapping[int, Tensor]], Tensor]:
        """The donor's correction [rows, d_donor] from its taps, be it a module's or a tuned one."""
        if isinstance(self.donor, TunedDonor | Panel):
            return self.donor.change
        return self.correction

    @property
    def change(self) -> Callable[[Mapping[int, Tensor]], Tensor]:
        """The same less what of the general one is taken away: what the target is to learn."""
        whole, general = self.whole_change, self.general
        if general is None:
            return whole
        return lambda taps: general.taken_from(whole(taps), taps)


def movable_module(donor: HostedModel) -> Correction | None:
    """The interface and the domain module of a donor that is one; None of any other."""
    return donor.module if isinstance(donor, TunedDonor) else donor.correction


def taps_of(donor: HostedModel, general: General | None) -> tuple[int, ...]:
    """The layers of a donor that its correction reads, and those of a general module's."""
    if isinstance(donor, TunedDonor | Panel):
        own = donor.change_taps
    else:
        assert donor.correction is not None
        own = donor.correction.taps
    return own if general is None else tuple(dict.fromkeys((*own, *general.correction.taps)))


@dataclass(frozen=True)
class Calibrated(Generic[AnyCorrection]):
    """A correction at work in its new backbone, and the gain that was chosen for it."""

    correction: AnyCorrection
    gain: float
    loss: float
    """On the calibration split, in nats per token."""


def pair_for_move(
    donor: HostedModel,
    target: Backbone,
    text: Splits,
    counts: Mapping[str, int],
    config: MoveConfig,
    folder: Path | None = None,
    *,
    general: General | None = None,
    progress: Progress | None = None,
) -> Pairing:
    """Runs excerpts of the pairing text, those most like the domain, through donor and target.

    Args:
        donor: a hosted module, or a base and a tuned copy of it.
        target: the backbone it moves to.
        text: pairing text; fits use its training split, judgements its calibration split.
        counts: the domain's token counts, which travel with the module.
        config: how much text, and which taps.
        folder: where rows go that do not fit into memory, see `pair_text`.
        general: a module of general text in the donor.
        progress: is told of the excerpts that were read.

    Raises:
        InputError: a donor that cannot be moved, see `check_movable`.
        MemoryLimitError: the fits do not fit into memory.
    """
    check_move_fits(donor, target, config)
    donor_taps = taps_of(donor, general)
    target_taps = target.check_taps(config.taps or target.all_taps)

    def chosen(documents: Sequence[Document], count: int) -> list[Document]:
        cut = cut_excerpts(documents, chars=config.excerpt_chars)
        found = most_like_domain(cut, counts, donor.tokenizer, count)
        random.Random(config.seed).shuffle(found)  # no batch is more alike than another
        return found

    fitted = chosen(text.train, config.excerpts)
    held_out = chosen(text.calibration, config.held_out_excerpts)
    total = len(fitted) + len(held_out)

    along = config.longer != FIRST

    def paired(
        excerpts: Sequence[Document], before: int, inside: str, *, longer: bool = False
    ) -> PairedText:
        return pair_text(
            donor.backbone, target, excerpts, donor_taps, target_taps, stride=config.stride,
            inside=inside, longer=longer, folder=folder,
            progress=part_of(progress, before, len(excerpts), total),
        )  # fmt: skip

    rows = paired(fitted, 0, config.inside or LEFT_OUT, longer=along)
    judged = paired(held_out, len(fitted), LEFT_OUT)
    return Pairing(donor, target, rows, judged, tuple(fitted), general)


def check_move_fits(donor: HostedModel, target: Backbone, config: MoveConfig) -> None:
    """Refuses a move whose fits memory does not hold; nothing runs.

    Args:
        donor: a hosted module, or a base and a tuned copy of it.
        target: the backbone it moves to.
        config: which taps, and how many columns of them.

    Raises:
        InputError: a donor that cannot be moved, see `check_movable`.
        MemoryLimitError: it names what takes how much.
    """
    tuned = isinstance(donor, TunedDonor)
    outputs = target.d_model if tuned else check_movable(donor).module.d_abi
    target.check_taps(config.taps or target.all_taps)
    check_fits(outputs, donor.backbone, target, config)


def pair_also(
    pairing: Pairing, text: Sequence[Document], config: MoveConfig, folder: Path | None = None
) -> Pairing:
    """The same pairing with more text to fit on, in excerpts, of which every pair is kept.

    Args:
        pairing: stays as it is.
        text: documents.
        config: how long an excerpt is, and which taps.
        folder: where rows go that do not fit into memory, see `pair_text`.

    Raises:
        CorpusError: the text holds no excerpt, or no position of it pairs.
    """
    donor, excerpts = pairing.donor, cut_excerpts(text, chars=config.excerpt_chars)
    more = pair_text(
        donor.backbone,
        pairing.target,
        excerpts,
        pairing.donor_taps,
        pairing.target.check_taps(config.taps or pairing.target.all_taps),
        inside=config.inside or LEFT_OUT,
        longer=config.longer != FIRST,
        folder=folder,
    )
    return dataclasses.replace(
        pairing, fitted=pairing.fitted.also(more), excerpts=(*pairing.excerpts, *excerpts)
    )


def check_movable(donor: HostedModel) -> Correction:
    """The correction of a donor, if a move can take it.

    Raises:
        InputError: a raw backbone, or a module that reads whole windows.
    """
    if donor.correction is None:
        raise InputError(
            f"{donor.name} is a raw backbone", expected="a module, as in python@ref-gpt2"
        )
    if donor.correction.module.reads_windows:
        raise InputError(
            f"{donor.name} reads whole windows; a move pairs single positions",
            expected="a module of the form lite, or one trained with an interface",
            found="a module of the form full",
            hint="`paste()` takes it to another core, bit for bit",
        )
    return donor.correction


def align(pairing: Pairing, config: MoveConfig) -> Bridge:
    """Fits the input side of the target's interface."""
    return fit_bridge(pairing.correction, pairing.target, pairing.fitted, pairing.held_out, config)


def want(
    pairing: Pairing,
    output_map: OutputMap,
    config: MoveConfig,
    *,
    like: MappedCorrections | None = None,
) -> MappedCorrections:
    """Carries the donor's corrections over to the target, through the two heads.

    Args:
        pairing: the paired rows.
        output_map: the way between the two heads, see `output_map.map_outputs`.
        config: how many tokens a position looks at, and the weight of log p_donor - log p_target.
        like: of the same pairs; see `map_corrections`.
    """
    return map_corrections(
        output_map, pairing.change, pairing.target, pairing.fitted, config, like=like
    )
