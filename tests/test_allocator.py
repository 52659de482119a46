"""Freed memory stays with the process, where the C library can be told so."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

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
    names = {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"}
    environment = {k: v for k, v in os.environ.items() if k not in names} | variables
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, how],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    kept, faults = done.stdout.split()
    return kept, int(faults)


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
