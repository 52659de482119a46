"""Tasks of lm-eval by name, and a user's own, with their data had before any model is loaded."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from transplant.errors import CorpusError, InputError, NotFoundError, foreign
from transplant.files.plain import expand

EXTRA = "pip install 'abi-transplant[eval]'"
SHOWN = 5  # names that a message tells


def check_installed() -> None:
    """Refuses to go on without lm-eval.

    Raises:
        InputError: naming the extra.
    """
    try:
        import lm_eval  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError as error:
        raise InputError(
            "benchmark tasks need lm-eval, which is not installed", hint=EXTRA
        ) from error


def find_tasks(names: Sequence[str], path: str | Path | None) -> tuple[Any, list[Any]]:
    """lm-eval's manager of tasks, and the tasks as it takes them.

    The data of each is had here, from the disk or the hub, and kept where `datasets` keeps it.

    Args:
        names: of tasks, groups or tags; with a file, none means its own.
        path: a YAML file of a task, or a folder of them.

    Raises:
        InputError: no task.
        NotFoundError: no task of that name, no such file or folder.
        CorpusError: a task that cannot be read, or whose data is not to be had.
    """
    check_installed()
    from lm_eval.tasks import TaskManager

    own = None if path is None else expand(path)
    if own is not None and not own.exists():
        raise NotFoundError(
            f"`task_path` {own} is not there", expected="a YAML file of lm-eval, or a folder"
        )
    if not names and own is None:
        raise InputError("`tasks`", expected="names of lm-eval's tasks", found="none")
    with quiet_harness():
        read: list[Any] = [] if own is None or own.is_dir() else [_read(own)]
        folder = own if own is not None and own.is_dir() else None
        with foreign(f"the tasks of {own} cannot be read", CorpusError):
            # What is a user's own alone needs no look through the thousands that come along.
            manager: Any = TaskManager(include_path=folder, include_defaults=False)
            if not names and folder is not None:
                names = manager.all_subtasks
                if not names:
                    raise NotFoundError(f"no task in {folder}", expected="YAML files of lm-eval")
            named = [name for name in names if name not in {one["task"] for one in read}]
            if {*named} - {*manager.all_tasks}:
                manager = TaskManager(include_path=folder)
        refuse_unknown(named, manager)
        wanted: list[Any] = [*read, *named]
        for one in wanted:
            title = one if isinstance(one, str) else one["task"]
            with foreign(
                f"the task {title}, or its data, is not to be had", CorpusError,
                hint="with a network it is fetched once; a task of your own by `task_path`",
            ):  # fmt: skip
                manager.load([one])
    return manager, wanted


def _read(file: Path) -> dict[str, Any]:
    from lm_eval.tasks._yaml_loader import load_yaml

    with foreign(f"{file} is no task of lm-eval", CorpusError, expected="YAML with `task: NAME`"):
        found = load_yaml(file, resolve_func=True)
        if not isinstance(found.get("task"), str):
            raise ValueError("no task is named")
    return found


def refuse_unknown(names: Sequence[str], manager: Any) -> None:
    """Refuses names that lm-eval's manager of tasks does not know.

    Raises:
        NotFoundError: naming the first, and what is close to it.
    """
    unknown = [name for name in names if name not in manager.task_index]
    if unknown:
        close = get_close_matches(unknown[0], manager.all_tasks, SHOWN)
        raise NotFoundError(
            f"lm-eval has no task {unknown[0]}",
            expected=f"one of {len(manager.all_tasks):,} names",
            found=f"the closest are {', '.join(close)}" if close else None,
            hint="`lm-eval ls tasks` lists them",
        )


@contextmanager
def quiet_harness() -> Iterator[None]:
    """Has lm-eval and its readers say nothing below an error, and show no bars."""
    from datasets.utils.logging import disable_progress_bar, enable_progress_bar
    from datasets.utils.logging import is_progress_bar_enabled as shown

    names = ("lm_eval", "lm-eval", "datasets", "huggingface_hub")
    levels = {name: logging.getLogger(name).level for name in names}
    was_shown = shown()
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    disable_progress_bar()
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        if was_shown:
            enable_progress_bar()
