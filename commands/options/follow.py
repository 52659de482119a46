"""The picture of a verb's result, and where its losses go as they come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from commands.output import Output
    from transplant.workspace import Workspace


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
        from transplant.pictures.reports import check_picture, draw_run

        check_picture(plot)
        out.draw = lambda report: draw_run(plot, work.verb, report, work.kept_losses(), out)
    if not log_to:
        yield
        return
    from transplant.trackers import Tracking, open_trackers

    trackers = [Tracking.of(text) for text in log_to]
    with open_trackers(trackers, f"abi {work.verb}", asked) as sinks:
        work.log_losses(sinks)
        yield
