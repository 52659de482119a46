"""`abi` without its start: one process has loaded the libraries, and each command is a fork of it.

Loading torch and transformers takes a small command longer than its work. A test that chains many
of them is about what they do; the start itself has tests of its own.

`abi -m MODULE ...` runs a module of Python in its place, and where the environment says `PRETENDED`
(`tests.pretended_device`) either has that device.
"""

from __future__ import annotations

import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHIM = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    asked = json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]).encode()
    socket.send_fds(server, [len(asked).to_bytes(8, "big")], [0, 1, 2])
    server.sendall(asked)
    codes = b"".join(iter(lambda: server.recv(1), b""))  # until the process is gone
sys.exit(codes[0] if codes else "abi ended without an exit code")
"""


@contextmanager
def warm_abi() -> Iterator[Path]:
    """A folder with a program `abi`, for a PATH; what it runs in goes with the block."""
    with tempfile.TemporaryDirectory(prefix="abi-") as folder:
        address = str(Path(folder) / "socket")
        program = Path(folder) / "abi"
        program.write_text(SHIM.format(python=sys.executable, address=address))
        program.chmod(0o755)
        with subprocess.Popen(
            [sys.executable, "-m", "tests.warm_abi", address], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        ) as server:  # fmt: skip
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            yield Path(folder)
            server.terminate()


@pytest.fixture(scope="session")
def warm_path() -> Iterator[Path]:
    """The folder of `warm_abi`, one for all tests of a process."""
    with warm_abi() as folder:
        yield folder


def serve(address: str) -> None:
    """Forks a process for each command, until the test that asks is gone or ends this one."""
    import transplant.loading.hosted  # noqa: F401  and all that it loads
    import transplant.workflows.move.whole  # noqa: F401
    from commands.app import main
    from tests.pretended_device import PRETENDED, pretend

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no process is waited for
        print("ready", flush=True)
        while sys.stdin not in select.select([listening, sys.stdin], [], [])[0]:
            client, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                take_over(client)
                if PRETENDED in os.environ:
                    pretend()
                try:
                    run_module() if sys.argv[1:2] == ["-m"] else main()
                except SystemExit as stop:
                    client.sendall(bytes([stop.code or 0]))
                    raise
            client.close()


def run_module() -> None:
    """Runs the module that is named, with the words behind it as its own."""
    del sys.argv[:2]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    sys.exit(0)


def take_over(client: socket.socket) -> None:
    """Takes words, environment, folder and streams of the program that asks."""
    head, streams, _, _ = socket.recv_fds(client, 8, 3)
    with client.makefile("rb") as sent:
        words, environment, folder = json.loads(sent.read(int.from_bytes(head, "big")))
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["abi", *words]


if __name__ == "__main__":
    serve(sys.argv[1])
