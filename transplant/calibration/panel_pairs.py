"""Pairs of a target with several donors: the characters at which all of them have a boundary."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import torch

from transplant.backbones.states import States
from transplant.backbones.view import Backbone
from transplant.calibration.config import FIRST, LEFT_OUT, MoveConfig
from transplant.calibration.excerpt_selection import most_like_domain
from transplant.calibration.move import Pairing
from transplant.calibration.output_map import OutputMap, joined_maps, map_outputs
from transplant.calibration.paired_rows import PairedRows
from transplant.calibration.pairs import PairedText, pair_text
from transplant.calibration.stored_pairs import PairedWindows
from transplant.calibration.windows_together import windows_together
from transplant.errors import CorpusError, InputError
from transplant.modules.panel import Panel
from transplant.modules.tuned import TunedDonor
from transplant.progress import Progress, part_of
from transplant.text.documents import Document
from transplant.text.excerpts import cut_excerpts
from transplant.text.offsets import common_rows, thinned
from transplant.text.splits import Splits


def pair_panel(
    panel: Panel, target: Backbone, text: Splits, counts: Mapping[str, int], config: MoveConfig,
    *, progress: Progress | None = None,
) -> Pairing:  # fmt: skip
    """Runs excerpts through all donors and the target, as `pair_for_move` does with one.

    Args:
        panel: the donors.
        target: the backbone that learns from them.
        text: fits use its training split, judgements its calibration split.
        counts: the domain's counts of the first donor's tokens, which choose the excerpts.
        config: how much text, and which taps.
        progress: is told of the excerpts that were read.

    Raises:
        InputError: something is wanted inside donor tokens, which are not the same for all.
        CorpusError: at no character all of them have a boundary.
        MemoryLimitError: the rows do not fit into memory.
    """
    if config.inside not in (None, LEFT_OUT):
        raise InputError("`inside` with several donors", expected=LEFT_OUT, found=config.inside)
    if config.longer != FIRST:
        raise InputError("`longer` with several donors", expected=FIRST, found=config.longer)
    sides = (text.train, config.excerpts), (text.calibration, config.held_out_excerpts)
    found: list[PairedText] = []
    excerpts: tuple[Document, ...] = ()
    for number, (documents, count) in enumerate(sides):
        cut = cut_excerpts(documents, chars=config.excerpt_chars)
        chosen = most_like_domain(cut, counts, panel.tokenizer, count)
        random.Random(config.seed).shuffle(chosen)
        chosen = _read_by_all(panel, target, chosen)
        excerpts = excerpts or tuple(chosen)
        told = part_of(progress, number, 1, len(sides))
        found.append(_side_by_side(panel, target, chosen, config, told))
    fitted, held_out = found
    return Pairing(panel, target, fitted, held_out, excerpts)


def _read_by_all(panel: Panel, target: Backbone, excerpts: Sequence[Document]) -> list[Document]:
    """The excerpts that are two tokens or more for the target and for every donor."""
    backbones = [*(one.backbone for one in panel.teachers), target]
    return [
        excerpts[window.document]
        for windows in windows_together(backbones, excerpts)
        for window in windows[-1]
    ]


def _side_by_side(
    panel: Panel, target: Backbone, excerpts: Sequence[Document], config: MoveConfig,
    progress: Progress | None,
) -> PairedText:  # fmt: skip
    taps = target.check_taps(config.taps or target.all_taps)
    count = len(panel.teachers)
    read = [
        pair_text(
            one.backbone, target, excerpts, one.change_taps, () if number else taps,
            progress=part_of(progress, number, 1, count),
        )
        for number, one in enumerate(panel.teachers)
    ]  # fmt: skip
    joined = [
        _common(panel.teachers, read, number, config.stride)
        for number in range(len(read[0].windows))
    ]
    kept = [(rows, windows) for rows, windows in joined if len(rows)]
    if not kept:
        raise CorpusError(
            f"{panel.name} and {target.name} have a boundary in common at no character of the text",
            expected="teachers whose tokens end at the same characters",
        )
    return PairedText(tuple(rows for rows, _ in kept), tuple(windows for _, windows in kept))


def _common(
    teachers: Sequence[TunedDonor], read: Sequence[PairedText], number: int, stride: int
) -> tuple[PairedRows, PairedWindows]:
    """One batch: the target's rows that pair with every donor, of these every `stride`-th."""
    common, places = common_rows([one.windows[number].rows[1] for one in read])
    batches = [one.batches[number] for one in read]
    unpaired = thinned(len(batches[0]) + batches[0].unpaired - len(common), stride)
    common, *places = (rows[::stride].contiguous() for rows in (common, *places))
    donors = [batch.donor.select(rows) for batch, rows in zip(batches, places, strict=True)]
    changes = [
        one.change(states.taps).float() for one, states in zip(teachers, donors, strict=True)
    ]
    first, windows = donors[0], read[0].windows[number]
    states = States(
        {Panel.CHANGES: torch.cat(changes, dim=1)},
        torch.cat([states.h_last.float() for states in donors], dim=1),
        first.labels, first.ends, first.windows,
    )  # fmt: skip
    rows = PairedRows(states, batches[0].target.select(places[0]), unpaired)
    kept = windows.rows[0][places[0]], common
    return rows, PairedWindows(windows.donor, windows.target, kept, unpaired)


def map_panel(
    panel: Panel, target: Backbone, counts: Sequence[Mapping[str, int]], config: MoveConfig
) -> OutputMap:
    """The ways from all heads to the target's; what they carry is averaged there.

    Args:
        panel: the donors.
        target: the backbone that learns from them.
        counts: the domain's token counts of each.
        config: the ridge strength of the maps.
    """
    return joined_maps([
        map_outputs(one.backbone, target, own, config)
        for one, own in zip(panel.teachers, counts, strict=True)
    ])  # fmt: skip
