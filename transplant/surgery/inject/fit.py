"""Warm starts: bridges fitted in closed form to text that both backbones read.

The way in goes from what the target's part reads to what the donor's reads, at the positions where
both tokenizations end at the same character. The way out goes from what the donor's part says of
*mapped* inputs (true ones it will never see) to what the target's own part adds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from transplant.activations.moments import CrossMoments
from transplant.alignment.affine import AffineMap
from transplant.alignment.ridge import fit_ridge
from transplant.backbones.view import Backbone
from transplant.calibration.windows_together import paired_windows, window_ends
from transplant.errors import CorpusError, NumericalError
from transplant.surgery.inject.graft import Graft
from transplant.surgery.inject.streams import Stream, read_stream, read_streams
from transplant.text.documents import Document
from transplant.text.offsets import match_positions
from transplant.text.windows import Window


def identity_map(width: int) -> AffineMap:
    """x to itself."""
    return AffineMap(torch.eye(width), torch.zeros(width))


@dataclass(frozen=True)
class InwardFit:
    """The way in, and how well it does on excerpts that it was not fitted to."""

    bridge: AffineMap
    pairs: int
    r2: float


def fit_inward(
    donor: Backbone,
    target: Backbone,
    donor_place: str,
    target_place: str,
    excerpts: Sequence[Document],
    held_out: Sequence[Document],
    ridge: float,
) -> InwardFit:
    """Ridge from what the target's part reads to what the donor's part reads, by character.

    Raises:
        CorpusError: not one position pairs.
    """
    moments, held = (
        _paired_moments(donor, target, donor_place, target_place, side)
        for side in (excerpts, held_out)
    )
    fitted = fit_ridge(moments, ridge)
    return InwardFit(fitted, moments.count, fitted.r2(held))


def _paired_moments(
    donor: Backbone,
    target: Backbone,
    donor_place: str,
    target_place: str,
    excerpts: Sequence[Document],
) -> CrossMoments:
    moments: CrossMoments | None = None
    for left, right in paired_windows(donor, target, excerpts):
        a, b = read_stream(donor, left, donor_place), read_stream(target, right, target_place)
        rows_a, rows_b = match_positions(*window_ends(donor, left), *window_ends(target, right))
        if moments is None:
            moments = CrossMoments(b.x.shape[-1], a.x.shape[-1])
        moments.update(b.rows(b.x)[rows_b], a.rows(a.x)[rows_a])
    if moments is None or moments.count == 0:
        raise CorpusError(
            f"{donor.name} and {target.name} pair at no position of the text",
            expected="tokens that end at the same characters",
        )
    return moments


@torch.no_grad()
def fit_outward(
    graft: Graft, target: Backbone, windows: Sequence[Window], place: str, ridge: float
) -> AffineMap:
    """Ridge from what the part says of mapped inputs to what the target's own part adds."""
    moments: CrossMoments | None = None
    for stream in read_streams(target, windows, place):
        y = _part_output(graft, stream)
        if moments is None:
            moments = CrossMoments(y.shape[-1], stream.x.shape[-1])
        moments.update(stream.rows(y), stream.rows(stream.added))
    if moments is None:
        raise CorpusError("there is no text to fit a bridge on")
    return fit_ridge(moments, ridge)


def _part_output(graft: Graft, stream: Stream) -> torch.Tensor:
    x = stream.x.to(graft.bridges.inward.dtype)
    z = graft.bridges.read_in(x, graft.bridges.shares(x))
    return graft.part(z, stream.span) if graft.part.sequential else graft.part(z)


@dataclass(frozen=True)
class Reproduction:
    """How well a graft's donor path reproduces what the target's own part adds."""

    mse: float
    """Mean squared error for each dimension."""
    baseline: float
    """The same of predicting the mean, which 1 - r2 compares with."""
    cosine: float
    """Mean cosine of the two."""
    rows: int

    @property
    def r2(self) -> float:
        """Share of the variance that is explained."""
        return 1.0 - self.mse / self.baseline


def judge(graft: Graft, target: Backbone, windows: Sequence[Window], place: str) -> Reproduction:
    """Compares, on windows that nothing was fitted to."""
    return judge_streams(graft, read_streams(target, windows, place))


@torch.no_grad()
def judge_streams(graft: Graft, streams: Iterable[Stream]) -> Reproduction:
    """The same for what the target's part has been seen to read and add."""
    rows, errors, cosines = 0, 0.0, 0.0
    total = squares = torch.zeros((), dtype=torch.float64)
    for stream in streams:
        found = stream.rows(graft.donor(stream.x.to(graft.bridges.inward.dtype), stream.span))
        wanted = stream.rows(stream.added).double()
        rows += len(wanted)
        errors += float((found.double() - wanted).pow(2).sum())
        cosines += float(torch.cosine_similarity(found.double(), wanted, dim=-1).sum())
        total = total + wanted.sum(0)
        squares = squares + wanted.pow(2).sum(0)
    if rows < 2:
        raise NumericalError("too few rows to judge a bridge by", expected=2, found=rows)
    variance = (squares / rows - (total / rows) ** 2).mean()
    width = total.numel()
    return Reproduction(errors / rows / width, float(variance), cosines / rows, rows)
