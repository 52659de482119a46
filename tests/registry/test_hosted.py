"""A module and its interface are there together or not at all, whenever their writer is killed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from registry import Entry, Manifest, Registry
from registry.entry import Broken
from tests.registry.stored import files_under
from transplant.errors import ExistsError, NotFoundError, StorageError

Make = Callable[..., Manifest]


class Killed(BaseException):
    """The end of a process: nothing of its own runs after it."""


@contextmanager
def killed_at(moment: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The process ends before its `moment`th rename or removal; what it renamed."""
    calls: list[str] = []

    def wrap(plain: Callable[..., object]) -> Callable[..., object]:
        def call(path: Path, *more: object, **options: object) -> object:
            calls.append(Path(path).name)
            if len(calls) >= moment:
                raise Killed
            return plain(path, *more, **options)

        return call

    with monkeypatch.context() as patch:
        patch.setattr("registry.staging.os.rename", wrap(os.rename))
        patch.setattr("transplant.files.whole_folder.clear", wrap(lambda *_: None))
        patch.setattr("registry.staging.shutil.rmtree", lambda *_, **__: None)
        yield calls


def write(store: Registry, make: Make, value: float, *, replace: bool = False) -> Entry:
    interface = make(kind="interface", taps=(0, 1))
    return store.write_hosted(
        (make(), {"w": torch.full((3,), value)}),
        (interface, {"proj": torch.full((2,), value)}), replace=replace,
    )  # fmt: skip


def values(store: Registry) -> list[tuple[str, float]]:
    """What is listed, with the one value of its tensors; a pair must be of one write."""
    assert not store.problems()
    found = store.entries()
    for entry in found:
        assert store.find(entry.kind, "python", "ref-gpt2").path == entry.path
    return [(e.kind, float(next(iter(store.read(e).values()))[0])) for e in found]


BOTH = ["module", "interface"]


@pytest.mark.parametrize("replace", [False, True])
def test_killed_writer_leaves_the_old_pair_or_the_new(
    replace: bool, store: Registry, make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen, ended = set(), False
    for moment in range(1, 12):
        store = Registry(tmp_path / f"root{moment}", store.reference)
        if replace:
            write(store, make, 1.0)
        before = values(store)
        ended = False
        with killed_at(moment, monkeypatch):
            try:
                write(store, make, 2.0, replace=replace)
                ended = True
            except Killed:
                pass
        after = values(store)
        new = [(kind, 2.0) for kind in BOTH]
        assert after in (before, new), moment
        seen.add(after == new)
        write(store, make, 2.0, replace=replace or after == new)  # the next run works
        assert values(store) == new
        left = files_under(store.root)
        assert not [name for name in left if "/." in name], moment
        if ended:
            break
    assert ended
    assert seen == {True, False}  # control: kills fell on both sides


def test_interface_left_without_its_module_is_not_found_but_can_be_removed(
    store: Registry, make: Make
) -> None:
    write(store, make, 1.0)
    store.remove(store.find("module", "python", "ref-gpt2"))
    assert store.entries() == []
    assert store.problems() == []
    with pytest.raises(NotFoundError, match="has no module"):
        store.find("interface", "python", "ref-gpt2")
    store.claim(("module", "interface"), "python", "ref-gpt2", 4)  # the name is free
    store.release()
    left = store.held("interface", "python", "ref-gpt2")
    assert isinstance(left, Broken)
    assert store.remove(left) > 0
    assert not files_under(store.root)


def test_full_disk_leaves_the_old_pair_and_nothing_beside_it(
    store: Registry, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> None:
        if folder.parent.name == "module":  # after the interface was put in place
            raise OSError(28, "no space left")

    for replace in (False, True):
        before = files_under(store.root)
        with monkeypatch.context() as patch:
            patch.setattr("transplant.files.whole_folder.flush", refuse)
            with pytest.raises(StorageError, match="full"):
                write(store, make, 2.0, replace=replace)
        assert files_under(store.root) == before
        write(store, make, 1.0, replace=True)


def test_name_that_is_taken_clears_what_a_killed_run_left(store: Registry, make: Make) -> None:
    entry = write(store, make, 1.0)
    (entry.path.parent / ".python.tmp").mkdir()
    with pytest.raises(ExistsError):
        store.claim(("module", "interface"), "python", "ref-gpt2", 4)
    assert not (entry.path.parent / ".python.tmp").exists()


@pytest.mark.parametrize(
    ("age", "parents", "stays"),
    [(-10, {}, False), (10, {}, True), (-10, {"module": "a"}, True)],
    ids=["stored since", "goes on", "another was moved there"],
)
def test_next_run_of_any_name_drops_a_checkpoint_whose_result_is_stored(
    age: int, parents: dict[str, str], stays: bool, store: Registry, make: Make
) -> None:
    entry = store.write(make(parents=parents), {"w": torch.ones(2)})
    spent = store.checkpoint_path("python", "ref-gpt2", 4)
    spent.parent.mkdir()
    spent.write_bytes(b"state")
    stored = (entry.path / "manifest.json").stat().st_mtime
    os.utime(spent, (stored + age, stored + age))
    store.claim(("module",), "law", "ref-gpt2", 4)
    store.release()
    assert spent.exists() is stays
