"""Windows of several backbones on the same excerpts: one of each backbone for every excerpt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from transplant.backbones.view import Backbone
from transplant.text.documents import Document
from transplant.text.windows import Window, tokenize

BATCH = 16  # excerpts


def windows_together(
    backbones: Sequence[Backbone], excerpts: Sequence[Document]
) -> Iterator[list[list[Window]]]:
    """Windows of each backbone; an excerpt enters for all or for none, so numbers agree.

    Yields:
        Of some excerpts the windows of each backbone, in the order of the backbones.
    """
    each = zip(*(_windows(one, excerpts) for one in backbones), strict=True)
    entered = [windows for windows in each if min(map(len, windows)) >= 2]
    for start in range(0, len(entered), BATCH):
        yield [list(side) for side in zip(*entered[start : start + BATCH], strict=True)]


def paired_windows(
    donor: Backbone, target: Backbone, excerpts: Sequence[Document]
) -> Iterator[tuple[list[Window], list[Window]]]:
    """The same of two."""
    for sides in windows_together([donor, target], excerpts):
        yield sides[0], sides[1]


def window_ends(backbone: Backbone, windows: Sequence[Window]) -> tuple[Tensor, Tensor]:
    """Of every row of some windows: the character up to which it has read, and its window."""
    rows = [backbone.rows_of(window).ends for window in windows]
    numbers = [torch.full((len(ends),), number) for number, ends in enumerate(rows)]
    return torch.tensor([end for ends in rows for end in ends]), torch.cat(numbers)


def _windows(backbone: Backbone, excerpts: Sequence[Document]) -> Iterator[Window]:
    for number, (ids, ends) in enumerate(tokenize(excerpts, backbone.tokenizer)):
        limit = backbone.context
        yield Window(ids[:limit], ends[:limit], number)


def texts_between(
    texts: Sequence[Document], windows: Sequence[Window], numbers: Tensor, starts: Tensor,
    ends: Tensor,
) -> list[str]:  # fmt: skip
    """What stands between two characters of a text, of each row.

    Args:
        texts: the texts that windows were cut from.
        windows: of a batch.
        numbers: the window of each row [rows].
        starts: the first character [rows].
        ends: the one behind the last [rows].
    """
    places = zip(numbers.tolist(), starts.tolist(), ends.tolist(), strict=True)
    return [texts[windows[number].document].text[start:end] for number, start, end in places]
