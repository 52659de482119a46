"""Inputs and outputs of the parts of a target on some text, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from transplant.activations.reader import Activations
from transplant.backbones.layercake.blocks import Span, make_span
from transplant.backbones.parts import watched
from transplant.backbones.view import Backbone
from transplant.progress import Progress
from transplant.text.windows import Window


@dataclass(frozen=True)
class Stream:
    """What one part of a backbone read and added on a batch of windows."""

    x: Tensor
    """[batch, seq, width], padding included."""
    added: Tensor
    """The same shape."""
    real: Tensor
    """bool [batch, seq]: the rows of the windows, neither padding nor what comes before."""
    span: Span
    """Positions and padding, for a part that attends."""

    def rows(self, hidden: Tensor) -> Tensor:
        """The real rows of [batch, seq, width]: [rows, width], window after window."""
        return hidden[self.real]


@torch.no_grad()
def read_stream(backbone: Backbone, windows: Sequence[Window], place: str) -> Stream:
    """Runs a batch of windows and keeps what the part `block.2.mlp` read and added."""
    with watched(backbone, (place, f"{place}.in")) as seen:
        backbone.read(windows)
    x, added = seen[f"{place}.in"], seen[place]
    mask = torch.zeros(x.shape[:2], dtype=torch.long)
    for number, window in enumerate(windows):
        mask[number, : backbone.skipped + len(backbone.rows_of(window).ids)] = 1
    real = mask.bool()
    real[:, : backbone.skipped] = False
    mask, real = mask.to(x.device), real.to(x.device)
    return Stream(x, added, real, make_span(x.shape[1], x.device, attention_mask=mask))


def read_streams(
    backbone: Backbone,
    windows: Sequence[Window],
    place: str,
    *,
    batch: int = 16,
    progress: Progress | None = None,
) -> Iterator[Stream]:
    """The same for many windows, in batches of `batch`."""
    for start in range(0, len(windows), batch):
        yield read_stream(backbone, windows[start : start + batch], place)
        if progress is not None:
            progress(min(start + batch, len(windows)), len(windows), "windows")


def stream_of_file(
    acts: Activations, windows: Sequence[int], place: str, device: torch.device
) -> Stream:
    """The same from a captured file that has the taps `block.2.mlp.in` and `block.2.mlp`.

    Args:
        acts: the open file; its rows are token positions.
        windows: their numbers in the file.
        place: the part.
        device: where what reads it is.
    """
    ranges = [acts.rows_of_window(number) for number in windows]
    longest = max(map(len, ranges))
    mask = torch.zeros(len(ranges), longest, dtype=torch.long)
    filled: dict[str, Tensor] = {}
    for name in (f"{place}.in", place):
        rows = [acts.tap(name, r.start, r.stop).float() for r in ranges]
        filled[name] = torch.zeros(len(ranges), longest, rows[0].shape[-1])
        for number, own in enumerate(rows):
            filled[name][number, : len(own)] = own
            mask[number, : len(own)] = 1
    x, added = (filled[name].to(device) for name in (f"{place}.in", place))
    mask = mask.to(device)
    return Stream(x, added, mask.bool(), make_span(longest, device, attention_mask=mask))
