"""A verb in a process of its own: its report, its seconds and its peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ran:
    """A verb that has run to its end."""

    text: str
    """Its report, as JSON."""
    seconds: float
    """Wall time, with loading; to a tenth."""
    peak_mib: int
    """The largest resident set."""


def run_alone(registry: Path, *words: str) -> Ran:
    """Runs a verb with `--json`; ends this process where it fails.

    Args:
        registry: its folder.
        words: of the command line, behind `abi`.
    """
    began = time.monotonic()
    running = subprocess.Popen(
        [sys.executable, "-c", "from commands.entry import main; main()", *words, "--json"],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "ABI_REGISTRY": str(registry)},
    )  # fmt: skip
    assert running.stdout is not None
    text = running.stdout.read()
    _, status, used = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode:
        sys.exit(f"exit {running.returncode}: {text}")
    return Ran(text, round(time.monotonic() - began, 1), used.ru_maxrss // 1024)
