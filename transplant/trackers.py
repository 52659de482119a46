"""Trackers of experiments through accelerate: TensorBoard, Weights & Biases, MLflow."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from transplant.errors import InputError, TransplantError, foreign
from transplant.files.plain import expand

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker

TRACKERS = ("tensorboard", "wandb", "mlflow")
PROJECT = "abi"


@dataclass(frozen=True)
class Tracking:
    """Where losses go, as `tensorboard:DIR`, `wandb:PROJECT`, `mlflow:DIR` or `mlflow:ADDRESS`."""

    kind: str
    place: str | None = None
    """A folder, the name of a project, or the address of MLflow's server or database."""

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
                "`log_to`",
                expected="tensorboard:DIR, wandb[:PROJECT] or mlflow[:DIR or ADDRESS]",
                found=text,
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
                tracker = MLflowTracker(PROJECT, run_name=run)
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


class WandbSink(TrackerSink):
    """The same for Weights & Biases, which drops a step that is less than one before it.

    A verb may train more than once: each training counts its own steps, beside its losses.
    """

    def __init__(self, tracker: GeneralTracker) -> None:
        super().__init__(tracker)
        self._run: Any = tracker.tracker  # pyright: ignore[reportAttributeAccessIssue]
        self._counted: set[str] = set()

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Takes in the values of a step."""
        titles = {name.rpartition("/")[0] for name in values}
        for title in titles - self._counted:
            self._run.define_metric(f"{title}/*", step_metric=f"{title}/step")
        self._counted |= titles
        self._tracker.log({**values, **{f"{title}/step": step for title in titles}})


class MlflowSink(TrackerSink):
    """The same for MLflow, whose names may have no `@`."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Takes in the values of a step."""
        plain = {re.sub(r"[^\w\-. :/]", " ", name): value for name, value in values.items()}
        self._tracker.log(plain, step=step)


SINKS = {"tensorboard": TrackerSink, "wandb": WandbSink, "mlflow": MlflowSink}


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
    sinks: list[TrackerSink] = []
    with ExitStack() as stack:
        for one in asked:
            if one.kind == "mlflow" and one.place is not None:
                stack.enter_context(_mlflow_at(one.place))
            tracker = one.start(run, settings)
            stack.callback(tracker.finish)
            sinks.append(SINKS[one.kind](tracker))
        yield tuple(sinks)


@contextmanager
def _mlflow_at(place: str) -> Iterator[None]:
    """Has MLflow keep runs at an address, or in a database in a folder, as long as the block."""
    import mlflow  # pyright: ignore[reportMissingImports]

    before = mlflow.get_tracking_uri()
    with foreign(f"mlflow cannot keep runs in {place}", TransplantError):
        if "://" not in place:
            folder = expand(place).absolute()
            folder.mkdir(parents=True, exist_ok=True)
            place = f"sqlite:///{(folder / 'mlflow.db').as_posix()}"
        mlflow.set_tracking_uri(place)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)
