"""Freed memory stays with the process, where the C library can be told so."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from transplant import allocator
from transplant.allocator import _is_glibc

FAULTS = """
import resource, sys
import numpy as np
from transplant.allocator import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "kept" else False
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        np.ones(40 * 2**20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(kept, faults())
"""
PAGES = 10 * 40 * 2**20 // 4096


def run(how: str, **variables: str) -> tuple[str, int]:
    """Whether anything was changed, and the page faults of ten arrays of 40 MiB."""
    kept, faults = output_of(FAULTS, how, **variables)
    return kept, int(faults)


def output_of(code: str, *words: str, **variables: str) -> list[str]:
    """What a program prints, without the settings of whoever runs the tests."""
    names = {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"}
    environment = {k: v for k, v in os.environ.items() if k not in names} | variables
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.split()


@pytest.mark.skipif(not _is_glibc(), reason="glibc alone has these settings")
def test_freed_memory_is_used_again() -> None:
    (kept, faults), (unchanged, anew) = run("kept"), run("default")
    assert (kept, unchanged) == ("True", "False")
    assert faults < PAGES / 100
    assert anew > max(faults, 10)  # in pages of 4 KiB, or in huge ones: each time again


@pytest.mark.parametrize(
    "variables",
    [{"MALLOC_TRIM_THRESHOLD_": "131072"}, {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=99999"}],
)
def test_settings_of_the_user_stay(variables: dict[str, str]) -> None:
    kept, _ = run("kept", **variables)
    assert kept == "False"


HOLES = """
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from transplant.allocator import give_back, keep_freed_memory
def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) // 1024
keep_freed_memory()
blocks = [bytearray(b"1" * (1 << 20)) for _ in range(200)]
full = resident()
del blocks[::2]
held = resident()
if sys.argv[1] == "asked":
    give_back()
else:
    from transplant.workflows.steps import Stepwise
    silent = SimpleNamespace(note=lambda text: None, progress=lambda title: nullcontext())
    job = Stepwise()
    job.work, job.seconds = SimpleNamespace(reporter=silent), {}
    with job.step("align"):
        pass
print(full, held, resident(), len(blocks))
"""


@pytest.mark.skipif(not _is_glibc(), reason="glibc alone keeps memory so")
@pytest.mark.parametrize("when", ["asked", "before a step"])
def test_what_is_kept_can_be_given_back(when: str) -> None:
    full, held, given, used = map(int, output_of(HOLES, when))
    assert full - held < 20  # MiB; control: of itself it stays
    assert held - given > 80
    assert given > used


def test_another_library_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "_is_glibc", lambda: False)
    asked: list[object] = []
    monkeypatch.setattr(allocator.ctypes, "CDLL", asked.append)
    allocator.give_back()
    assert asked == []
