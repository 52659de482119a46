"""An artifact that is replaced or removed at any step of its reading: one named error."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import registry.reading
from registry import Registry
from registry.reads import ManifestReads
from tests.registry.stored import OTHER, WEIGHTS, Make
from transplant.errors import CorruptError, NotFoundError

STEPS = 4  # the hashes of the tensors, the files beside the manifest, the tensors, the manifest


def remove(folder: Path) -> None:
    folder.rename(folder.with_name("gone"))


def replace_by_an_equal_one(folder: Path) -> None:
    remove(folder)
    shutil.copytree(folder.with_name("gone"), folder)


@pytest.fixture
def at_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], None]], list[int]]:
    """Have something happen just before the n-th step of a reading; gives the steps taken."""

    def arrange(at: int, act: Callable[[], None]) -> list[int]:
        taken: list[int] = []

        def watched(step: Any) -> Any:
            def run(*args: Any, **options: Any) -> Any:
                taken.append(len(taken))
                if taken[-1] == at:
                    act()
                return step(*args, **options)

            return run

        tensors = registry.reading.safetensors
        monkeypatch.setattr(tensors, "hash_tensors", watched(tensors.hash_tensors))
        monkeypatch.setattr(tensors, "load", watched(tensors.load))
        monkeypatch.setattr(ManifestReads, "read", watched(ManifestReads.read))
        return taken

    return arrange


@pytest.mark.parametrize("at", range(STEPS))
@pytest.mark.parametrize("act", [remove, replace_by_an_equal_one])
def test_what_goes_while_it_is_read_is_named(
    store: Registry, make: Make, at_step, at: int, act: Callable[[Path], None]
) -> None:
    entry = store.write(make(), WEIGHTS)
    at_step(at, lambda: act(entry.path))
    with pytest.raises(NotFoundError, match="replaced or removed while it was read"):
        store.read(entry)


def test_there_are_no_other_steps(store: Registry, make: Make, at_step) -> None:
    entry = store.write(make(), WEIGHTS)
    taken = at_step(-1, lambda: None)
    assert store.read(entry).keys() == WEIGHTS.keys()
    assert len(taken) == STEPS


def test_tensors_that_stay_on_the_disk_are_those_that_were_written(
    store: Registry, make: Make
) -> None:
    entry = store.write(make(), WEIGHTS)
    found = store.load(entry, on_disk=True)
    assert found.tensors.keys() == WEIGHTS.keys()
    assert all(torch.equal(found.tensors[name], WEIGHTS[name]) for name in WEIGHTS)
    assert (found.sha256, found.made) == (store.load(entry).sha256, store.load(entry).made)
    store.write(make(), OTHER, replace=True)
    with pytest.raises(CorruptError, match="weights.safetensors"):
        found.tensors["w1"]
    store.remove(entry)
    with pytest.raises(CorruptError, match="is missing"):
        store.load(entry, on_disk=True)
