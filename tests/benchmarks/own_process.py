"""A verb in a process of its own: its report, its seconds and its peak memory.

`ru_maxrss` of a child is no measure of it: on Linux it begins with the peak of the process that
started it, and so a benchmark that has built a model would report its own. What the child itself
says at its end (VmHWM) is measured from the start of its own program.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

STATUS = "/proc/{}/status"
PERIOD = 0.02  # s between looks at what is not of files
VERB = f"""
import os, sys
place = int(sys.argv.pop(1))
try:
    from commands.entry import main
    main()
finally:
    if os.path.exists({STATUS.format("self")!r}):
        with open({STATUS.format("self")!r}) as status, os.fdopen(place, "w") as told:
            told.write(status.read())
"""


@dataclass(frozen=True)
class Ran:
    """A verb that has run to its end."""

    text: str
    """Its report, as JSON."""
    seconds: float
    """Wall time, with loading; to a tenth."""
    cpu_seconds: float
    """Processor time, with loading; to a tenth."""
    peak_mib: int
    """The largest resident set of the process itself."""
    anonymous_mib: int | None
    """The largest part of it that is not of files, of fifty looks a second; None off Linux.

    Pages of files that are mapped, as weights are, go when memory is needed; these cannot.
    """


def run_alone(registry: Path, *words: str, verdicts: Sequence[int] = (0,)) -> Ran:
    """Runs a verb with `--json`; ends this process where it fails.

    Args:
        registry: its folder.
        words: of the command line, behind `abi`.
        verdicts: the exit codes of a run to its end.
    """
    began = time.monotonic()
    told, place = os.pipe()
    running = subprocess.Popen(
        [sys.executable, "-c", VERB, str(place), *words, "--json"],
        stdout=subprocess.PIPE, text=True, pass_fds=[place],
        env={**os.environ, "ABI_REGISTRY": str(registry)},
    )  # fmt: skip
    os.close(place)
    assert running.stdout is not None
    seen: list[int] = []
    looking = threading.Thread(target=_look, args=(running.pid, seen))
    looking.start()
    with running.stdout, os.fdopen(told) as file:
        text, status = running.stdout.read(), _kib(file.read())
    _, ended, used = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(ended)
    looking.join()
    if running.returncode not in verdicts:
        sys.exit(f"exit {running.returncode}: {text}")
    return Ran(
        text, round(time.monotonic() - began, 1), round(used.ru_utime + used.ru_stime, 1),
        status.get("VmHWM", used.ru_maxrss) // 1024,
        max(seen) // 1024 if seen else None,
    )  # fmt: skip


def _look(process: int, seen: list[int]) -> None:
    """Notes the KiB of a process that are not of files, until it has ended."""
    while True:
        try:
            found = _kib(Path(STATUS.format(process)).read_text())
        except OSError:
            return
        if "RssAnon" not in found:  # it has ended and was not waited for
            return
        seen.append(found["RssAnon"])
        time.sleep(PERIOD)


def _kib(status: str) -> dict[str, int]:
    """The sizes in a status file of Linux, in KiB."""
    lines = (line.split() for line in status.splitlines())
    return {parts[0][:-1]: int(parts[1]) for parts in lines if parts[2:] == ["kB"]}
