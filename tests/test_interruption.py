"""Signals end a job as Ctrl-C does, and its clean-up is not cut short."""

from __future__ import annotations

import signal
import subprocess
import sys
import time


def test_what_is_ignored_stays_ignored() -> None:
    code = """
import os, signal
from transplant.interruption import signals
signal.signal(signal.SIGHUP, signal.SIG_IGN)
with signals():
    os.kill(os.getpid(), signal.SIGHUP); print("on")
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except KeyboardInterrupt:
        print("ended")
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.stdout == "on\nended\n"


def test_clean_up_is_not_cut_short() -> None:
    code = """
import time
from transplant.interruption import signals
with signals():
    try:
        print("ready", flush=True); time.sleep(60)
    finally:
        print("cleaning", flush=True); time.sleep(1); print("clean", flush=True)
"""
    running = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True,
                               stderr=subprocess.PIPE)  # fmt: skip
    assert running.stdout is not None
    assert running.stdout.readline() == "ready\n"
    running.send_signal(signal.SIGINT)
    assert running.stdout.readline() == "cleaning\n"
    time.sleep(0.2)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert out == "clean\n"
    assert "cleaning up" in err
