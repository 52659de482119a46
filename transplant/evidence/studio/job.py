"""Running the studio: what is checked before it listens, and how it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.errors import InputError, TransplantError, first_line
from transplant.files.plain import expand
from transplant.studio.config import StudioConfig
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from transplant.studio.access import Access

NEEDED = ("jinja2", "starlette", "uvicorn")


@dataclass(frozen=True, kw_only=True)
class StudioJob:
    """What is shown, and where."""

    runs: Sequence[Path] = ()
    """Folders that reports were written to, or such reports."""
    config: StudioConfig = field(default_factory=StudioConfig)
    """Where it listens, and its bounds."""
    say: Callable[[str], str] = str
    """Text of the library as the user types things."""


def run_studio(work: Work, job: StudioJob, ready: Callable[[dict[str, Any]], None]) -> None:
    """Shows a library and runs in a browser until SIGINT or SIGTERM comes.

    Args:
        work: library, device, arithmetic and reporter.
        job: what is shown, and where.
        ready: told the address, the registry and the number of runs once it listens.

    Raises:
        TransplantError: the extra `studio` is not installed.
        InputError: no such folder; a host that is not this machine's; a port that is taken.
        StorageError: a registry that cannot be read.
    """
    require_studio()
    from transplant.studio.access import Access
    from transplant.studio.listening import open_socket, serve

    check_runs(job.runs)
    work.library.entries()  # a registry that cannot be read is said now
    with open_socket(job.config.host, job.config.port) as listening:
        bound, port = listening.getsockname()[:2]
        access = Access.to(job.config.host, bound, port)
        app, close = make_app(work, job, access)
        try:
            ready(
                {
                    "url": access.url,
                    "registry": str(work.library.root),
                    "runs": [str(place) for place in job.runs],
                    "token": access.token is not None,
                }  # fmt: skip
            )
            serve(app, listening)
        finally:
            close()


def make_app(work: Work, job: StudioJob, access: Access) -> tuple[ASGIApp, Callable[[], None]]:
    """The application, and what stops what it is computing."""
    from transplant.evidence.studio.actions import LoadingActions
    from transplant.studio.app import build_app
    from transplant.studio.desk import Desk
    from transplant.studio.runs import Runs
    from transplant.studio.setting import Studio

    desk = Desk(job.config.seconds)
    studio = Studio(
        library=work.library, config=job.config, actions=LoadingActions(work), desk=desk,
        runs=Runs([expand(place).absolute() for place in job.runs]), say=job.say,
    )  # fmt: skip

    def fault(error: Exception) -> None:
        work.reporter.warn(f"this is a fault of abi, please report it: {first_line(error)}")

    return build_app(studio, access, fault), desk.close


def require_studio() -> None:
    """Refuses where the pages could not be made.

    Raises:
        TransplantError: the extra `studio` is not installed.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise TransplantError(
            f"the studio needs {' and '.join(missing)}",
            hint="pip install 'abi-transplant[studio]'",
        )


def check_runs(places: Sequence[Path]) -> None:
    """Refuses a folder of runs that is not there.

    Raises:
        InputError: naming it.
    """
    for place in places:
        if not expand(place).exists():
            raise InputError(
                f"the run {place}", expected="a folder or a file of JSON", found="nothing there"
            )
