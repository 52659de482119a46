"""A disk that refuses, an interrupt, a lock: what was there stays."""

from __future__ import annotations

import dataclasses
import errno
from collections.abc import Callable
from pathlib import Path

import filelock
import pytest

from registry import Registry, staging
from tests.registry.stored import OTHER, WEIGHTS, Make, files_under
from transplant.errors import StorageError
from transplant.files import safetensors as tensors
from transplant.files import whole_folder


def fail_with(error: BaseException) -> Callable[..., None]:
    def fail(*_args: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("module", "function"), [(tensors, "save"), (whole_folder, "flush"), (staging.os, "rename")]
)
@pytest.mark.parametrize("replace", [True, False])
def test_a_full_disk_leaves_what_was_there(
    store: Registry,
    make: Make,
    monkeypatch: pytest.MonkeyPatch,
    module: object,
    function: str,
    replace: bool,
) -> None:
    if replace:
        store.write(make(), WEIGHTS)
    before = files_under(store.root)
    with monkeypatch.context() as patch:
        patch.setattr(module, function, fail_with(OSError(errno.ENOSPC, "No space left")))
        with pytest.raises(StorageError) as caught:
            store.write(make(), OTHER, replace=replace)
    assert caught.value.expected == "1,048,576 bytes free"  # for 24, and the manifest
    assert str(caught.value.found).endswith(" bytes")
    assert files_under(store.root) == before
    assert replace or [p.name for p in store.root.iterdir()] == [".lock"]
    store.write(make(), OTHER, replace=replace)  # the control


def test_an_interrupt_leaves_what_was_there(
    store: Registry, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(make(), WEIGHTS)
    before = files_under(store.root)
    with monkeypatch.context() as patch:
        patch.setattr(whole_folder, "flush", fail_with(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            store.write(make(), OTHER, replace=True)
    assert files_under(store.root) == before


def test_a_failure_between_the_two_moves_brings_the_old_one_back(
    store: Registry, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = store.write(make(), WEIGHTS)
    before = files_under(store.root)
    rename, calls = staging.os.rename, []

    def second_fails(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 2:
            assert store.find("module", "python", "ref-gpt2").manifest == entry.manifest
            raise PermissionError("no")
        rename(source, target)

    monkeypatch.setattr(staging.os, "rename", second_fails)
    with pytest.raises(StorageError, match="cannot write"):
        store.write(make(), OTHER, replace=True)
    assert len(calls) == 3
    assert files_under(store.root) == before


def test_a_held_lock_is_named(store: Registry, make: Make) -> None:
    store.write(make(), WEIGHTS)
    hasty = dataclasses.replace(store, lock_timeout_s=0.05)
    with (
        filelock.FileLock(store.root / ".lock"),
        pytest.raises(StorageError, match=r"root/\.lock.*0\.05 s"),
    ):
        hasty.write(make(name="second"), WEIGHTS)
    hasty.write(make(name="second"), WEIGHTS)


def test_a_root_that_cannot_be_made_is_a_storage_error(make: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write to"):
        Registry(tmp_path / "file" / "root").write(make(), WEIGHTS)
