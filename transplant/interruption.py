"""Signals that end a long job: each cleans up as Ctrl-C does."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class TerminatedError(KeyboardInterrupt):
    """Another signal than that of Ctrl-C came: what Ctrl-C would clean up is cleaned up.

    Args:
        number: the signal's.
    """

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__(number)
        self.number = number


def exit_of(stop: KeyboardInterrupt) -> int:
    """Gives what a signal has ended its exit code, as shells do: 130 of Ctrl-C, 143 of SIGTERM."""
    return 128 + (stop.number if isinstance(stop, TerminatedError) else signal.SIGINT)


@contextlib.contextmanager
def signals() -> Iterator[None]:
    """Inside the block SIGTERM cleans up as Ctrl-C does, and clean-up is not cut short.

    So does SIGHUP. The first signal raises. Those after it are noted while the work is being
    cleaned up; the third ends the process at once. What whoever started us wants ignored, as
    `nohup` does, stays ignored. Outside of the main thread, which alone takes signals, nothing
    changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen = 0

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        nonlocal seen
        seen += 1
        if seen == 1:
            raise KeyboardInterrupt if number == signal.SIGINT else TerminatedError(number)
        if seen > 2:
            os._exit(128 + number)
        with contextlib.suppress(OSError, ValueError, AttributeError):
            os.write(2, b"cleaning up; once more ends at once\n")

    known = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
    caught = [number for number in known if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in caught}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
