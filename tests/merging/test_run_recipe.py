"""The process in which mergekit merges: it ends with what started it, and says what it refuses."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace

import pytest

from transplant.errors import InputError, StorageError
from transplant.merging import run_recipe as running
from transplant.merging.child import find_fault

POPEN = subprocess.Popen


def named(*names: str) -> list[SimpleNamespace]:
    return [SimpleNamespace(name=name) for name in names]


METHODS = {
    "slerp": SimpleNamespace(
        spec=SimpleNamespace(shared_parameters=named("t"), input_parameters=named("weight"))
    )
}


def test_methods_and_parameters_that_are_none_are_found_at_any_depth():
    source = {"model": {}, "parameters": {"weight": 1}}
    good = {"merge_method": "slerp", "slices": [{"sources": [source], "parameters": {"t": 0.5}}]}
    assert find_fault(good, METHODS) is None
    bad = {**good, "slices": [{"sources": [{**source, "parameters": {"wait": 1}}]}]}
    assert find_fault(bad, METHODS) == {
        "what": "the parameter 'wait' of slerp", "expected": "one of t, weight",
    }  # fmt: skip
    fault = find_fault({"merge_method": "slurp"}, METHODS)
    assert fault == {"what": "merge_method slurp", "expected": "one of slerp"}


def started(monkeypatch, code: str) -> list[subprocess.Popen[bytes]]:
    """Has another program run in the place of the merge; gives its process."""
    found: list[subprocess.Popen[bytes]] = []

    def start(words, **options):
        found.append(POPEN([words[0], "-c", code], **options))
        return found[-1]

    monkeypatch.setattr(running.subprocess, "Popen", start)
    return found


def test_an_interruption_ends_the_process(tmp_path, monkeypatch):
    children = started(monkeypatch, "import time; time.sleep(600)")

    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        running.run_recipe({}, tmp_path / "out", tmp_path, seed=0, progress=interrupt)
    assert children[0].returncode is not None


def test_what_it_says_becomes_an_error(tmp_path, monkeypatch):
    def run(code: str) -> None:
        started(monkeypatch, code)
        running.run_recipe({}, tmp_path / "out", tmp_path, seed=0, progress=lambda *_: None)

    run("pass")
    with pytest.raises(InputError, match="no such: expected this"):
        run('import sys; print(\'{"what": "no such", "expected": "this"}\'); sys.exit(3)')
    with pytest.raises(StorageError, match="ended with code 1: found ValueError: oh"):
        run("raise ValueError('oh')")


def test_without_the_package_the_extra_is_named(monkeypatch):
    running.check_mergekit()
    monkeypatch.setattr(running, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"abi-transplant\[merge\]"):
        running.check_mergekit()
