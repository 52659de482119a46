"""Pairs of rows, block by block, from a backbone or from a file: what moments are summed over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from torch import Tensor

from transplant.activations.capture import Taps, read_taps
from transplant.activations.moments import CrossMoments
from transplant.activations.reader import Activations
from transplant.backbones.view import Backbone
from transplant.errors import InputError
from transplant.text.windows import Window, batches

ROWS = 8_192  # of a block of a file

Block = tuple[Tensor, Tensor]


def from_backbone(
    backbone: Backbone, windows: Sequence[Window], x: str, y: str
) -> Iterator[tuple[Tensor, Tensor]]:
    """The rows of two taps, layers or parts of blocks, of the windows in batches of like length."""
    taps = Taps(tuple(dict.fromkeys((x, y))))
    for batch in batches(windows):
        read = read_taps(backbone, [windows[number] for number in batch], taps)
        yield read[x], read[y]


def from_file(acts: Activations, x: str, y: str) -> Iterator[Block]:
    """The rows of two taps of a file, in its order."""
    for rows in acts.batches(ROWS):
        first = acts.tap(x, rows.start, rows.stop)
        yield first, first if y == x else acts.tap(y, rows.start, rows.stop)


def moments_of(blocks: Iterable[Block]) -> CrossMoments:
    """The second moments of all pairs of rows; with x = y, a covariance.

    Raises:
        InputError: there is not one block.
    """
    moments: CrossMoments | None = None
    for x, y in blocks:
        if moments is None:
            moments = CrossMoments(x.shape[1], y.shape[1])
        moments.update(x, y)
    if moments is None:
        raise InputError("moments of no rows", expected="a window, or a row of a file")
    return moments
