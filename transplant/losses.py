"""Losses of training runs: told with each step, recorded for manifests, passed on to trackers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from transplant.progress import Progress, Reporter

Told = Sequence[tuple[int, float, float | None]]
"""Step, loss, and held-out loss where there was a look."""
KEPT = 200  # steps of a run, at most, whose loss a manifest keeps


class LossNote(str):
    """The note of a step of training: a text, and the losses that it tells of."""

    loss: float
    """Of the batch."""
    held: float | None
    """On the calibration split, where this step was followed by a look at it."""
    nats: bool
    """Whether both are in nats per token."""
    before: Told
    """Those of the steps before the run was interrupted, where it goes on."""

    def __new__(
        cls, loss: float, best: float | None = None, *, held: float | None = None,
        nats: bool = True, more: str = "", before: Told = (),
    ) -> LossNote:  # fmt: skip
        """A note of a loss, of the best held-out loss so far, and of something more."""
        digits = 3 if nats else 4
        tail = "" if best is None else f", best held {best:.{digits}f}"
        made = super().__new__(cls, f"loss {loss:.{digits}f}{tail}{more}")
        made.loss, made.held, made.nats, made.before = loss, held, nats, before
        return made


class LossSink(Protocol):
    """What is told of losses as they come, as a tracker of experiments."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Takes in the values of a step, each by its name."""
        ...


@dataclass
class LossRecord:
    """The losses of one run."""

    steps: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    held: list[tuple[int, float]] = field(default_factory=list)
    nats: bool = True

    def add(self, step: int, note: LossNote) -> None:
        """Takes in a step, the first one with those before it."""
        told = [(step, note.loss, note.held)]
        for one, loss, held in (*note.before, *told) if not self.steps else told:
            self.steps.append(one)
            self.loss.append(loss)
            if held is not None:
                self.held.append((one, held))
        self.nats = note.nats

    def to_dict(self) -> dict[str, Any]:
        """For JSON: at most `KEPT` steps, evenly spread and the last among them; every look."""
        every = max(1, math.ceil(len(self.steps) / KEPT))
        last = len(self.steps) - 1
        places = [n for n in range(len(self.steps)) if (last - n) % every == 0]
        return {
            "steps": [self.steps[n] for n in places],
            "loss": [round(self.loss[n], 6) for n in places],
            "held": [[step, round(loss, 6)] for step, loss in self.held],
            "nats": self.nats,
        }


class RecordingReporter:
    """A reporter that passes everything on and keeps the losses that it hears of.

    Args:
        reporter: what is told.
        records: the losses by the title of their run; filled on the way.
        sinks: what is told of losses as well.
    """

    def __init__(
        self, reporter: Reporter, records: dict[str, LossRecord], sinks: tuple[LossSink, ...] = ()
    ) -> None:
        self.reporter, self.records, self.sinks = reporter, records, sinks
        self._runs: Counter[str] = Counter()
        self.kept = False
        """Whether what was recorded stands in a manifest: the next run begins anew."""

    def note(self, text: str, /) -> None:
        """Passes a note on."""
        self.reporter.note(text)

    def warn(self, text: str, /) -> None:
        """Passes a warning on."""
        self.reporter.warn(text)

    @contextmanager
    def progress(self, title: str, /) -> Iterator[Progress]:
        """Follows a loop; losses of a run of the same title are replaced."""
        record, called = LossRecord(), title
        with self.reporter.progress(title) as told:

            def heard(step: int, total: int, note: str, /) -> None:
                nonlocal called
                if isinstance(note, LossNote):
                    if not record.steps:
                        called = self._told_as(title)
                    self._begin(title, record)
                    record.add(step, note)
                    self._log(called, step, note)
                told(step, total, note)

            yield heard

    def _begin(self, title: str, record: LossRecord) -> None:
        if self.kept and self.records.get(title) is not record:
            self.records.clear()
            self.kept = False
        self.records[title] = record

    def _told_as(self, title: str) -> str:
        """The name of a run for sinks, whose lines it would continue: the second has a number."""
        self._runs[title] += 1
        return title if self._runs[title] == 1 else f"{title} {self._runs[title]}"

    def _log(self, title: str, step: int, note: LossNote) -> None:
        values = {f"{title}/loss": note.loss}
        if note.held is not None:
            values[f"{title}/held"] = note.held
        for sink in self.sinks:
            sink.log(values, step)
