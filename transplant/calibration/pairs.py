"""Paired rows: two backbones, the same text, the same character."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from transplant.backbones.view import Backbone, States
from transplant.errors import CorpusError
from transplant.progress import Progress
from transplant.text.documents import Document
from transplant.text.offsets import match_positions
from transplant.text.windows import Window, tokenize

BATCH = 16  # excerpts


@dataclass(frozen=True)
class PairedRows:
    """Row i of the donor and row i of the target have read the same text."""

    donor: States
    target: States
    unpaired: int
    """Target rows that end inside a donor token, thinned out as the pairs are."""

    def __len__(self) -> int:
        return len(self.donor)


@dataclass(frozen=True)
class PairedText:
    """All paired rows of some excerpts, batch by batch."""

    batches: tuple[PairedRows, ...]

    @cached_property
    def rows(self) -> int:
        """The number of pairs."""
        return sum(map(len, self.batches))

    @property
    def paired_share(self) -> float:
        """The share of the target's rows that found a partner."""
        return self.rows / max(1, self.rows + sum(batch.unpaired for batch in self.batches))

    def shuffled(self, seed: int) -> PairedText:
        """The same rows with the donor's in random order: a control that must carry nothing."""
        generator = torch.Generator().manual_seed(seed)
        return PairedText(
            tuple(
                PairedRows(
                    batch.donor.select(torch.randperm(len(batch), generator=generator)),
                    batch.target,
                    batch.unpaired,
                )
                for batch in self.batches
            )
        )


def pair_text(
    donor: Backbone,
    target: Backbone,
    excerpts: Sequence[Document],
    donor_taps: Iterable[int],
    target_taps: Iterable[int],
    *,
    stride: int = 1,
    progress: Progress | None = None,
) -> PairedText:
    """Runs the excerpts through both backbones and pairs their rows by character offset.

    Of the pairs every `stride`-th is kept; `progress` is told of the excerpts that were read.

    Raises:
        CorpusError: not one position pairs.
    """
    donor_taps, target_taps = tuple(donor_taps), tuple(target_taps)
    batches, read = [], 0
    for left, right in paired_windows(donor, target, excerpts):
        a, b = donor.read(left, donor_taps), target.read(right, target_taps)
        rows_a, rows_b = match_positions(a.ends, a.windows, b.ends, b.windows)
        # Fits run in float64 on the CPU, wherever the backbones are and in what they compute.
        ours = a.to("cpu", torch.float32).select(rows_a[::stride])
        theirs = b.to("cpu", torch.float32).select(rows_b[::stride])
        batches.append(PairedRows(ours, theirs, (len(b) - len(rows_b)) // stride))
        read += len(left)
        if progress is not None:
            progress(read, len(excerpts), "excerpts")
    paired = PairedText(tuple(batches))
    if paired.rows == 0:
        raise CorpusError(
            f"{donor.name} and {target.name} pair at no position of the text",
            expected="tokens that end at the same characters",
        )
    return paired


def paired_windows(
    donor: Backbone, target: Backbone, excerpts: Sequence[Document]
) -> Iterator[tuple[list[Window], list[Window]]]:
    """Windows of both sides; an excerpt enters on both or on neither, so numbers agree."""
    pairs = [
        (ours, theirs)
        for ours, theirs in zip(_windows(donor, excerpts), _windows(target, excerpts), strict=True)
        if len(ours) >= 2 and len(theirs) >= 2
    ]
    for start in range(0, len(pairs), BATCH):
        chunk = pairs[start : start + BATCH]
        yield [ours for ours, _ in chunk], [theirs for _, theirs in chunk]


def window_ends(backbone: Backbone, windows: Sequence[Window]) -> tuple[torch.Tensor, torch.Tensor]:
    """Of every row of some windows: the character up to which it has read, and its window."""
    rows = [backbone.rows_of(window).ends for window in windows]
    numbers = [torch.full((len(ends),), number) for number, ends in enumerate(rows)]
    return torch.tensor([end for ends in rows for end in ends]), torch.cat(numbers)


def _windows(backbone: Backbone, excerpts: Sequence[Document]) -> Iterator[Window]:
    for number, (ids, ends) in enumerate(tokenize(excerpts, backbone.tokenizer)):
        limit = backbone.context
        yield Window(ids[:limit], ends[:limit], number)
