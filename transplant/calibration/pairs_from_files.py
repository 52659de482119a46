"""Pairs from two files that were captured of the same text: no backbone runs."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from transplant.activations.file_states import read_states
from transplant.activations.match_files import aligned_pairs
from transplant.activations.reader import Activations
from transplant.activations.splits import windows_by_side
from transplant.backbones.states import concat_states
from transplant.backbones.view import Backbone
from transplant.calibration.changes.spec import AUTO
from transplant.calibration.config import CONTINUED, NOTHING, PRODUCT, MoveConfig
from transplant.calibration.excerpt_selection import by_likeness
from transplant.calibration.move import Pairing, check_movable
from transplant.calibration.paired_rows import InsideRows, LazyBatch, LazyBatches, PairedRows
from transplant.calibration.pairs import IN_MEMORY, PairedText
from transplant.calibration.stored_pairs import Side
from transplant.calibration.windows_together import BATCH
from transplant.errors import CorpusError, InputError
from transplant.modules.hosted import HostedModel
from transplant.text.offsets import thinned, unmatched


def pair_captured(
    donor: HostedModel,
    target: Backbone,
    files: tuple[Activations, Activations],
    counts: Mapping[str, int],
    config: MoveConfig,
) -> Pairing:
    """The pairing of a move, from rows that both backbones have left in files.

    As `pair_for_move`, with the windows of the donor's file in place of excerpts: as many as hold
    the same number of characters, those most like the domain.

    Args:
        donor: a hosted module.
        target: the backbone that it moves to.
        files: of the donor's rows and of the target's, on the same text.
        counts: the domain's token counts, which travel with the module.
        config: how much text, and which taps.

    Raises:
        InputError: a file of another backbone, or without the layers that are read; donor tokens
            that are to be continued, for which no text is here.
        CorpusError: not one position pairs.
    """
    ours, theirs = files
    donor_taps = check_movable(donor).taps
    target_taps = target.check_taps(config.taps or target.all_taps)
    read = Side(donor.backbone, donor_taps), Side(target, target_taps)
    row_bytes = _check_captured(files, read, config)
    starts, rows_a, rows_b = _pairs_by_window(ours, theirs)
    sides = windows_by_side(ours)

    def batch_of(windows: Sequence[int]) -> LazyBatch:
        rows = sum(thinned(starts[w + 1] - starts[w], config.stride) for w in windows)
        spans = [rows_b[starts[w] : starts[w + 1]] for w in windows]
        unpaired = sum(thinned(int(b[-1] - b[0]) + 1 - len(b), config.stride) for b in spans)
        return LazyBatch(rows, unpaired, lambda: _join([*map(pairs_of, windows)]))

    def pairs_of(window: int) -> PairedRows:
        span = slice(starts[window], starts[window + 1])
        a, b = rows_a[span], rows_b[span]
        donor_rows = range(int(a[0]), int(a[-1]) + 1)
        target_rows = range(int(b[0]), int(b[-1]) + 1)
        states_a = read_states(ours, donor_rows, donor_taps, donor.backbone.n_layers)
        states_b = read_states(theirs, target_rows, target_taps, target.n_layers)
        inside = None
        if config.inside == NOTHING:
            rows = unmatched(b - b[0], len(target_rows))[:: config.stride]
            inside = InsideRows(states_b.select(rows))
        return PairedRows(
            states_a.select((a - a[0])[:: config.stride]),
            states_b.select((b - b[0])[:: config.stride]),
            thinned(len(target_rows) - len(b), config.stride),
            inside=inside,
        )

    def paired(windows: Sequence[int], excerpts: int) -> PairedText:
        chosen = _most_alike(ours, windows, donor, counts, excerpts * config.excerpt_chars)
        random.Random(config.seed).shuffle(chosen)  # no batch is more alike than another
        kept = [window for window in chosen if starts[window] < starts[window + 1]]
        if not kept:
            raise CorpusError(
                f"{ours.path} and {theirs.path} pair at no position",
                expected="captures of the same text",
                found=f"{ours.header.corpus} and {theirs.header.corpus}",
            )
        batches = [batch_of(kept[n : n + BATCH]) for n in range(0, len(kept), BATCH)]
        if sum(map(len, batches)) * row_bytes > IN_MEMORY:
            return PairedText(LazyBatches(batches))
        return PairedText(tuple(batch.read() for batch in batches))

    return Pairing(
        donor,
        target,
        paired(sides["train"], config.excerpts),
        paired(sides["calibration"], config.held_out_excerpts),
    )


def _check_captured(files: Sequence[Activations], sides: Sequence[Side], config: MoveConfig) -> int:
    """Refuses files that do not hold what a move reads; the bytes of a pair in memory."""
    reading = {"inside": (CONTINUED,), "longer": (PRODUCT, AUTO)}
    for name, values in reading.items():
        if (value := getattr(config, name)) in values:
            raise InputError(
                f"`{name}={value!r}` reads the text that both have read",
                expected="pairs from text", found="rows from files", hint="`data='TEXT'`",
            )  # fmt: skip
    for acts, side in zip(files, sides, strict=True):
        acts.check_made_by(side.backbone, side.backbone.name)
        acts.check_holds({*side.layers})
    return sum(side.row_bytes for side in sides)


def _pairs_by_window(ours: Activations, theirs: Activations) -> tuple[list[int], Tensor, Tensor]:
    """Where the pairs of each window of `ours` begin, and the paired rows of both."""
    rows_a, rows_b = aligned_pairs(ours, theirs)
    return torch.searchsorted(rows_a, torch.from_numpy(ours.first_row)).tolist(), rows_a, rows_b


def _join(pairs: Sequence[PairedRows]) -> PairedRows:
    inside = [rows.inside.target for rows in pairs if rows.inside is not None]
    return PairedRows(
        concat_states([rows.donor for rows in pairs]),
        concat_states([rows.target for rows in pairs]),
        sum(rows.unpaired for rows in pairs),
        inside=InsideRows(concat_states(inside)) if inside else None,
    )


def _most_alike(
    acts: Activations,
    windows: Sequence[int],
    donor: HostedModel,
    counts: Mapping[str, int],
    chars: int,
) -> list[int]:
    """The windows most like the domain, until they hold that many characters."""
    texts, sizes = [], []
    for window in windows:
        rows = acts.rows_of_window(window)
        tokens = acts.tokens(rows.start, rows.stop)
        texts.append(tokens.ids.tolist())
        sizes.append(int(tokens.ends[-1] - tokens.ends[0]))
    chosen, held = [], 0
    for index in by_likeness(texts, counts, donor.tokenizer):
        if held >= chars:
            break
        chosen.append(windows[index])
        held += sizes[index]
    return chosen
