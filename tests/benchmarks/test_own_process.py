"""The peak of a verb is its own, however large the process was that started it."""

from __future__ import annotations

import json
import sys

import pytest

from tests.benchmarks.own_process import run_alone

LARGE_MIB = 1500  # more than any verb needs that only lists


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of the parts of a process")
def test_what_the_starting_process_holds_is_no_part_of_the_peak(tmp_path):
    held = bytearray(LARGE_MIB << 20)
    held[::4096] = b"\1" * len(held[::4096])
    ran = run_alone(tmp_path, "list")
    assert json.loads(ran.text)
    assert ran.anonymous_mib is not None
    assert 0 < ran.anonymous_mib <= ran.peak_mib < LARGE_MIB / 2


def test_a_verb_that_fails_ends_the_benchmark(tmp_path):
    with pytest.raises(SystemExit, match="exit 1"):
        run_alone(tmp_path, "show", "nothing-of-that-name")
