"""Options of what a verb draws, and of where its losses go as they come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from commands.output import Output
    from transplant.workspace import Workspace

PLOT: dict[str, tuple[Any, Any]] = {
    "plot": (
        Annotated[
            Path | None,
            typer.Option("--plot", help="A picture of the result: FILE.png, .svg or .html."),
        ],
        None,
    )
}
LOG_TO: dict[str, tuple[Any, Any]] = {
    "log_to": (
        Annotated[
            list[str] | None,
            typer.Option(
                "--log-to",
                metavar="TRACKER",
                help="Losses as they come: tensorboard:DIR, wandb[:PROJECT], mlflow[:DIR]. "
                "Repeatable.",
            ),
        ],
        None,
    )
}


@contextmanager
def followed(
    work: Workspace,
    out: Output,
    plot: Path | None,
    log_to: list[str] | None,
    asked: Mapping[str, Any],
) -> Iterator[None]:
    """Has the losses of a verb logged, and its result drawn where it is printed.

    Args:
        work: what the verb runs in.
        out: where its result goes.
        plot: the file of the picture.
        log_to: trackers.
        asked: what the verb was asked with.

    Raises:
        InputError, StorageError, TransplantError: they cannot be; before the work.
    """
    if plot is not None:
        from transplant.pictures.reports import check_picture

        check_picture(plot)
        out.draw = lambda report: _draw(work, out, plot, report)
    if not log_to:
        yield
        return
    from transplant.trackers import Tracking, open_trackers

    trackers = [Tracking.of(text) for text in log_to]
    with open_trackers(trackers, f"abi {work.verb}", asked) as sinks:
        work.log_losses(sinks)
        yield


def _draw(work: Workspace, out: Output, path: Path, report: Mapping[str, Any]) -> str | None:
    """Draws a report and returns the path; None where a fit took no step that could be drawn."""
    from transplant.pictures.losses import draw_losses
    from transplant.pictures.reports import PICTURES, write_picture

    losses = work.kept_losses()
    if PICTURES[work.verb] is draw_losses and work.verb != "show" and not losses:
        out.warn(f"nothing was trained by steps: {path} is not written")
        return None
    return write_picture(path, work.verb, {**report, **({"losses": losses} if losses else {})})
