"""Trackers of experiments through accelerate: TensorBoard, Weights & Biases, MLflow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from transplant.errors import InputError, TransplantError, foreign

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker

TRACKERS = ("tensorboard", "wandb", "mlflow")
PROJECT = "abi"


@dataclass(frozen=True)
class Tracking:
    """Where losses go, as `tensorboard:DIR`, `wandb:PROJECT` or `mlflow:DIR`."""

    kind: str
    place: str | None = None

    @classmethod
    def of(cls, text: str) -> Tracking:
        """Reads it from one text, and sees that what it needs is installed.

        Raises:
            InputError: another tracker, or TensorBoard without a folder.
            TransplantError: the tracker, or accelerate, is not installed.
        """
        kind, _, place = text.partition(":")
        if kind not in TRACKERS or (kind == "tensorboard" and not place):
            raise InputError(
                "`log_to`", expected="tensorboard:DIR, wandb[:PROJECT] or mlflow[:DIR]", found=text
            )
        for package in ("accelerate", kind):
            if find_spec(package) is None:
                raise TransplantError(
                    f"{package} is not installed, which `log_to` needs for {kind}",
                    hint=f"pip install {package}",
                )
        return cls(kind, place or None)

    def start(self, run: str, settings: Mapping[str, Any]) -> GeneralTracker:
        """A tracker that has begun a run.

        Args:
            run: its name.
            settings: what the run was asked with.

        Raises:
            TransplantError: the tracker's own error, as of a service that does not answer.
        """
        from accelerate.state import PartialState
        from accelerate.tracking import MLflowTracker, TensorBoardTracker, WandBTracker

        PartialState()  # trackers ask it which process is the first
        plain = {
            name: value if isinstance(value, bool | int | float | str) else str(value)
            for name, value in settings.items()
            if value is not None
        }
        with foreign(f"{self.kind} cannot start a run", TransplantError):
            if self.kind == "tensorboard":
                tracker = TensorBoardTracker(run, logging_dir=str(self.place))
            elif self.kind == "wandb":
                tracker = WandBTracker(self.place or PROJECT, name=run)
            else:
                tracker = MLflowTracker(PROJECT, logging_dir=self.place, run_name=run)
            if hasattr(tracker, "start"):
                tracker.start()
            if self.kind != "tensorboard":  # it would write a second run, of hyperparameters alone
                tracker.store_init_configuration(plain)
        return tracker


class TrackerSink:
    """What hands losses to a tracker.

    Args:
        tracker: it has begun its run.
    """

    def __init__(self, tracker: GeneralTracker) -> None:
        self._tracker = tracker

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Takes in the values of a step."""
        self._tracker.log(dict(values), step=step)


@contextmanager
def open_trackers(
    asked: Sequence[Tracking], run: str, settings: Mapping[str, Any]
) -> Iterator[tuple[TrackerSink, ...]]:
    """Starts a run in each tracker, and ends it with the block.

    Args:
        asked: where losses go.
        run: the name of the run.
        settings: what it was asked with.

    Raises:
        TransplantError: a tracker's own error.
    """
    started: list[GeneralTracker] = []
    try:
        for one in asked:
            started.append(one.start(run, settings))
        yield tuple(TrackerSink(tracker) for tracker in started)
    finally:
        for tracker in started:
            tracker.finish()
