"""Mutated inputs of every kind before the verbs that read them: each works or is a named error."""

from __future__ import annotations

import gc
import random
import signal
import time

import pytest

from tests.fuzz.targets import TARGETS, Fuzzer, at_most, build, fault_of, only_inside

EACH = 6  # inputs of a target; tests/benchmarks/bench_fuzz.py tries 10,000 in all
FIRST = {"manifest": 15, "adapter": 20}
BROKEN = {
    name: b'{"a' if name not in ("csv", "hdf5") and "weights" not in name else b"\0\xff\xfe"
    for name in TARGETS
}


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory) -> Fuzzer:
    gc.collect()  # what earlier tests have left opens folders of its own when it goes
    return Fuzzer(build(tmp_path_factory.mktemp("fuzz") / "scene"))


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_mutated_inputs_work_or_are_named(fuzzer: Fuzzer, name: str) -> None:
    for number in range(FIRST.get(name, EACH)):
        fuzzer.run(name, number)
    assert not [fault for fault in fuzzer.faults if fault.startswith(f"{name} ")]
    assert fuzzer.outcomes[name, "named error"]  # the mutations reach the reader


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_an_input_works_and_a_broken_one_behind_it_does_not(fuzzer: Fuzzer, name: str) -> None:
    """The control: the verbs read these very files, every time that they run."""
    target = TARGETS[name]
    path = fuzzer.scene.base / target.file
    seed = path.read_bytes()
    for words in target.verbs:
        assert fuzzer.judge(words) == (None, 0)
    path.write_bytes(BROKEN[name])
    try:
        fault, code = fuzzer.judge(target.verbs[0])
    finally:
        path.write_bytes(seed)
    assert (fault, code) == (None, 1)


def test_the_same_number_is_the_same_input(fuzzer: Fuzzer) -> None:
    for target in TARGETS.values():
        seed = (fuzzer.scene.base / target.file).read_bytes()
        made = [target.mutate(seed, random.Random(n)) for n in (1, 1, 2, 3, 4)]
        assert made[0] == made[1]
        assert len(set(made)) > 2


def test_faults_are_told_from_named_errors() -> None:
    named = '{"error": "InputError", "what": "one line"}'
    assert fault_of(1, named, "") is None
    assert fault_of(0, "[]", "") is None
    assert fault_of(1, "", "Traceback") is not None
    assert fault_of(1, named + named, "") is not None
    assert fault_of(1, named, "Traceback (most recent call last)") is not None
    assert fault_of(139, named, "") is not None
    assert fault_of(1, "{}", "") is not None
    assert fault_of(1, named.replace("InputError", "FaultError"), "") is not None
    assert fault_of(1, named.replace("one line", r"two\nlines"), "") is not None


def test_what_is_opened_outside_and_what_hangs_is_seen(fuzzer: Fuzzer) -> None:
    secret = fuzzer.scene.base.parent / "outside" / "secret.txt"
    link = fuzzer.scene.base / "link.txt"
    link.symlink_to(secret)
    with only_inside(fuzzer.scene.base) as opened:
        secret.read_text()
        link.read_text()
        (fuzzer.scene.base / "text.csv").read_bytes()
    link.unlink()
    assert opened == [f"{secret.resolve()} to read"] * 2
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), at_most(1) as late:
        time.sleep(20)
    assert late == [signal.SIGALRM]
    assert time.monotonic() - began < 10
