"""The rows of a repair: the same positions, before an update and after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from transplant.backbones.view import Backbone
from transplant.calibration.excerpt_selection import by_likeness
from transplant.errors import InputError
from transplant.modules.correction import Correction
from transplant.text.windows import Window, batches


@dataclass(frozen=True)
class Pairs:
    """Row i of either side has read the same text; float32, on the CPU."""

    t_before: Tensor  # [rows, n_taps * d_model]
    t_after: Tensor
    h_before: Tensor  # [rows, d_model], as the head reads it
    h_after: Tensor

    def __len__(self) -> int:
        return len(self.t_before)


def read_both(
    before: Backbone, after: Backbone, correction: Correction, windows: Sequence[Window]
) -> list[Pairs]:
    """What both backbones compute on the windows, batch by batch."""
    interface = correction.cpu().interface
    found = []
    for batch in batches(windows):
        text = [windows[index] for index in batch]
        sides = [side.read(text, interface.taps).to("cpu") for side in (before, after)]
        t = [interface.gather({tap: h.float() for tap, h in s.taps.items()}) for s in sides]
        found.append(Pairs(*t, *(side.h_last.float() for side in sides)))
    return found


def choose_windows(
    backbone: Backbone, pool: Sequence[Window], counts: Mapping[str, int], tokens: int
) -> list[Window]:
    """Windows of about so many tokens: those most like the domain, where its counts are known."""
    order = by_likeness([w.ids for w in pool], counts, backbone.tokenizer) if counts else None
    taken: list[Window] = []
    total = 0
    for index in order or range(len(pool)):
        if total >= tokens:
            break
        taken.append(pool[index])
        total += len(pool[index])
    return taken


def hold_out(windows: Sequence[Window], every: int) -> tuple[list[Window], list[Window]]:
    """(windows to fit on, every so many-th window, which is held out).

    Raises:
        InputError: there is but one window.
    """
    if len(windows) < 2:
        raise InputError("a repair needs two windows or more", found=len(windows))
    held = [window for number, window in enumerate(windows) if number % every == 1]
    return [window for number, window in enumerate(windows) if number % every != 1], held
