"""A process that forks writers and kills them, and what must hold after each."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tests.activations.tiny_files import make_header, make_tokens, same_rows

ROOT = Path(__file__).parents[2]


CRASH = """
import os, random, signal, sys
from itertools import count
sys.path.insert(0, {root!r})
from pathlib import Path
from tests.activations.crashes import CRASHING
from tests.activations.tiny_files import write_rows
from transplant.activations import hdf5
from transplant.activations.writer import ActivationWriter
hdf5.CHUNK_BYTES = 2**16
path, log = Path({path!r}), {log!r}
header, tokens = CRASHING

def die_at(call):
    put = os.pwrite
    def pwrite(handle, data, offset):
        nonlocal call
        call -= 1
        if call:
            return put(handle, data, offset)
        put(handle, data[: random.randrange(len(data) + 1)], offset)
        os.kill(os.getpid(), signal.SIGKILL)
    os.pwrite = pwrite

def alarm(delay):  # ends the process at any instruction, as a kill from outside does
    signal.setitimer(signal.ITIMER_REAL, delay)

def work(commits, delay):
    start = ActivationWriter.resume if path.exists() else ActivationWriter.create
    with start(path, header, tokens) as writer, open(log, "a", buffering=1) as report:
        done = count()
        if next(done) == commits:
            alarm(delay)
        for row in range(writer.committed, tokens.rows, 100):
            stop = min(row + 100, tokens.rows)
            write_rows(writer, header, row, stop)
            if stop % 500 == 0 or stop == tokens.rows:
                writer.commit(stop)
                report.write(f"{{stop}}\\n")
                if next(done) == commits:
                    alarm(delay)

for line in sys.stdin:  # the call of pwrite to die in (or 0), the commits before an alarm (or -1)
    call, commits, delay = line.split()
    child = os.fork()
    if child == 0:
        random.seed(line)
        if int(call):
            die_at(int(call))
        try:
            work(int(commits), float(delay))
            os._exit(0)
        finally:
            os._exit(1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


CRASHING = make_header(widths=(64, 64, 33)), make_tokens(((500,) * 4,) * 4)


class Crashes:
    """A process that forks a writer for each line it gets, and what must hold after each."""

    def __init__(self, folder: Path) -> None:
        self.path, self.log = folder / "a.h5", folder / "log"
        self.log.touch()
        script = CRASH.format(root=str(ROOT), path=str(self.path), log=str(self.log))
        command = [sys.executable, "-c", script]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, call: int = 0, commits: int = -1, delay: float = 0.0) -> bool:
        """Whether the writer was killed: in a call of `pwrite`, or `delay` after some commits."""
        assert self.process.stdin
        assert self.process.stdout
        print(call, commits, delay, file=self.process.stdin, flush=True)
        code = int(self.process.stdout.readline())
        assert code in (0, -signal.SIGKILL, -signal.SIGALRM)
        return code != 0

    def reported(self) -> list[int]:
        return [int(line) for line in self.log.read_text().split()]

    def check(self) -> int:
        """The committed rows: exactly those that were reported, or one step more."""
        from transplant.activations.reader import Activations

        if not self.path.exists():  # killed before the file had its name
            return 0
        header, tokens = CRASHING
        reported = [0, *self.reported()][-1]
        with Activations.open(self.path, partial=True) as acts:
            assert acts.header == header
            assert acts.committed in (reported, min(reported + 500, tokens.rows))
            assert same_rows(self.path, header, acts.committed)
            return acts.committed

    def restart(self) -> int:
        self.path.unlink()
        self.log.write_text("")
        return 0

    def __enter__(self) -> Crashes:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate(timeout=30)
