"""`abi studio`: it listens at once, says where, and stops at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

from transplant.errors import InputError
from transplant.studio.listening import open_socket

ROOT = Path(__file__).parents[2]


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """The verb in a process of its own."""
    environment = {**os.environ, "ABI_REGISTRY": str(folder), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "commands", "studio", "--port", "0", *words], cwd=folder,
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_it_says_where_it_is_and_ctrl_c_ends_it(tmp_path):
    run = start(tmp_path, "--json")
    try:
        assert run.stdout is not None
        text = ""
        while (line := run.stdout.readline()) and line != "}\n":
            text += line
        said = json.loads(text + line)
        assert (said["registry"], said["token"], said["runs"]) == (str(tmp_path), False, [])
        answer = httpx.get(said["url"], trust_env=False)
        assert (answer.status_code, "python-shipped@ref-gpt2" in answer.text) == (200, True)
        assert "server" not in answer.headers
        began = time.monotonic()
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=20)
        assert (run.returncode, out, err) == (0, "", "")
        assert time.monotonic() - began < 5
    finally:
        run.kill()
        run.wait()


def test_what_cannot_be_shown_is_one_line(abi):
    with open_socket("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        ran = abi("studio", "--port", str(port))
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines() == [
        f"error port {port} is taken: expected a free one, found another program listens on it. "
        "Try: --port 0, which takes any that is free"
    ]
    gone = abi("studio", "/no/such/folder", "--json")
    assert (gone.code, gone.json["error"]) == (1, "InputError")
    assert abi("studio", "--port", "70000").code == 2


def test_without_the_extra_it_is_named(abi, monkeypatch):
    from transplant.evidence.studio import job

    monkeypatch.setattr(job, "NEEDED", ("starlette", "no_such_module"))
    ran = abi("studio")
    assert (ran.code, "abi-transplant[studio]" in ran.err) == (1, True)


def test_it_listens_on_the_host_that_is_named(abi, monkeypatch):
    from transplant.studio import listening

    heard = []

    def refuse(host, _port):
        heard.append(host)
        raise InputError(f"the host {host}", hint="`host='127.0.0.1'`")

    monkeypatch.setattr(listening, "open_socket", refuse)
    ran = abi("studio", "--host", "elsewhere", "--port", "0")
    assert (ran.code, ran.out, heard) == (1, "", ["elsewhere"])
    assert "Try: --host 127.0.0.1" in ran.err
