"""Chunks between shared boundaries: what the donor has learned of the text itself.

Between two characters at which tokens of both sides end lie one or more tokens of either. The sums
of their log-probabilities are of the same event, whatever the tokens are: the target's should
change as the donor's has. Positions where only one side has a boundary take part, which pairs leave
out. (Approximate likelihood matching, Minixhofer et al., arXiv 2503.20083, as its temperature goes
to infinity: the binarised divergence is then that of Poisson means, of the chunk's nats.)
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from transplant.backbones.split_head import ROWS, LogSum, SplitHead
from transplant.backbones.states import States
from transplant.backbones.token_losses import token_losses
from transplant.backbones.view import Backbone
from transplant.calibration.objectives.batches import Batch
from transplant.calibration.output_map import DonorMix, OutputMap
from transplant.calibration.windows_together import paired_windows
from transplant.text.documents import Document
from transplant.text.offsets import number_chunks
from transplant.training.losses import through_head
from transplant.training.row_sources import concat_states

EXCERPTS = 96  # all positions of these are kept, of which pairs keep every third
LEAST = 1e-2  # nats of a chunk


@dataclass(frozen=True, kw_only=True)
class ChunkBatch(Batch):
    """Labelled rows of the target, in chunks of text that the donor has read as well."""

    chunks: Tensor  # of each row [rows]
    taught: Tensor  # nats of each chunk by the teacher [chunks]

    @property
    def terms(self) -> int:
        """How many terms a loss is the mean of: the chunks."""
        return len(self.taught)


class ChunkBatches:
    """Excerpts in chunks; a unit is an excerpt.

    Args:
        donor: its backbone.
        target: the frozen backbone.
        excerpts: what both read; of more than `EXCERPTS` some are drawn.
        taps: the layers of the donor, and of the target.
        change: the donor's correction from its taps, on the CPU.
        output_map: the two heads.
        donor_mix: the gain, and the weight of log p_donor - log p_target.
        seed: of what is drawn.
    """

    def __init__(
        self,
        donor: Backbone,
        target: Backbone,
        excerpts: Sequence[Document],
        taps: tuple[Sequence[int], Sequence[int]],
        change: Callable[[Mapping[int, Tensor]], Tensor],
        output_map: OutputMap,
        donor_mix: DonorMix,
        seed: int = 0,
    ) -> None:
        drawn = [*excerpts]
        random.Random(seed).shuffle(drawn)
        self.target, self._mix = target, donor_mix
        self._head = output_map.donor
        self._units = [*self._read(donor, drawn[:EXCERPTS], taps, change)]

    def __len__(self) -> int:
        """The number of excerpts."""
        return len(self._units)

    def batch(self, units: Sequence[int]) -> ChunkBatch:
        """The rows of these excerpts, their chunks numbered through."""
        found = [self._units[number] for number in units]
        before = [0]
        for one in found:
            before.append(before[-1] + len(one.taught))
        chunks = [one.chunks + first for one, first in zip(found, before, strict=False)]
        states = concat_states([one.states for one in found]).to(self.target.device)
        place = states.h_last.device
        return ChunkBatch(
            target=self.target, states=states, chunks=torch.cat(chunks).to(place),
            taught=torch.cat([one.taught for one in found]).to(place),
        )  # fmt: skip

    @torch.no_grad()
    def _read(
        self,
        donor: Backbone,
        excerpts: Sequence[Document],
        taps: tuple[Sequence[int], Sequence[int]],
        change: Callable[[Mapping[int, Tensor]], Tensor],
    ) -> Iterator[ChunkBatch]:
        """One batch for each excerpt that has a chunk."""
        for left, right in paired_windows(donor, self.target, excerpts):
            ours = donor.read(left, taps[0]).to("cpu")
            theirs = self.target.read(right, taps[1])
            correction = change(ours.taps).float()
            at_ours, at_theirs = number_chunks(
                ours.ends, ours.windows, theirs.ends.cpu(), theirs.windows.cpu()
            )
            count = int(at_theirs.max()) + 1
            inside = at_ours >= 0
            h_donor, labels = ours.h_last[inside].float(), ours.labels[inside]
            nats = torch.stack([
                label_nats(self._head, h_donor, labels),
                label_nats(self._head, h_donor + correction[inside], labels),
            ])  # fmt: skip
            before, after = _sums(nats, at_ours[inside], count)
            kept = (at_theirs >= 0).nonzero()[:, 0].to(theirs.h_last.device)
            rows, chunks = theirs.select(kept), at_theirs[kept.cpu()]
            raw = token_losses(self.target, rows.h_last, rows.labels).cpu().float()
            own = _sums(raw, chunks, count)
            wanted = (after - before) + self._mix.raw_weight * (before - own)
            taught = (own + self._mix.gain * wanted).clamp_min(LEAST)
            yield from self._by_window(rows, chunks, taught)

    def _by_window(self, rows: States, chunks: Tensor, taught: Tensor) -> Iterator[ChunkBatch]:
        for window in rows.windows.unique().tolist():
            own = rows.windows == window
            mine = chunks[own.cpu()]
            first, last = int(mine.min()), int(mine.max())
            yield ChunkBatch(
                target=self.target, states=rows.select(own), chunks=mine - first,
                taught=taught[first : last + 1],
            )  # fmt: skip


def chunk_nats(batch: Batch, change: Tensor, _progress: float) -> Tensor:
    """x - t + t log(t / x) of the nats x of each chunk and the teacher's t; the mean over chunks.

    Args:
        batch: a `ChunkBatch`.
        change: the correction [rows, d_model] that learns.
    """
    assert isinstance(batch, ChunkBatch)
    hidden, labels, taught = batch.hidden(change), batch.states.labels, batch.taught
    with torch.no_grad():
        nats = token_losses(batch.target, hidden, labels).float()
        found = _sums(nats, batch.chunks, len(taught)).clamp_min(LEAST)
        value = (found - taught + taught * (taught / found).log()).mean()
        slope = (1 - taught / found)[batch.chunks] * (len(labels) / len(taught))

    def loss_of(logits: Tensor, rows: slice) -> Tensor:
        losses = functional.cross_entropy(logits, labels[rows], reduction="none")
        return slope[rows] * losses

    # Its value is not wanted, its gradient is that of the divergence.
    leads = through_head(batch.target, hidden, loss_of, batch.head_type)
    return value + leads - leads.detach()


def label_nats(head: SplitHead, hidden: Tensor, labels: Tensor) -> Tensor:
    """-log p of each row's next token, in nats [rows].

    Args:
        head: of the model.
        hidden: last hidden states [rows, d_model].
        labels: the next tokens [rows].
    """
    parts = []
    for some, label in zip(hidden.split(ROWS), labels.split(ROWS), strict=True):
        sums = LogSum(label)
        for tokens in head.pieces():
            sums.add(head.logits(some, tokens), tokens)
        parts.append(sums.losses)
    return torch.cat(parts)


def _sums(parts: Tensor, chunks: Tensor, count: int) -> Tensor:
    """Sums over the rows of each chunk, [..., rows] to [..., chunks]."""
    sums = parts.new_zeros(*parts.shape[:-1], count)
    return sums.index_add_(-1, chunks, parts)
