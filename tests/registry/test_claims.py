"""Claims: a name is taken when the work begins, by one process, until it is written or it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from registry import Manifest, Registry, claims
from registry.store import REFERENCE
from tests.registry.stored import WEIGHTS
from transplant.errors import CorruptError, ExistsError, InputError, StorageError

TAKE = """
import sys
from pathlib import Path
from registry import Registry
Registry(Path(sys.argv[1])).claim(("module", "interface"), "tales", "b", 4)
print("taken", flush=True)
sys.stdin.read()
"""


def hold(root: Path) -> subprocess.Popen[str]:
    """Another process that has the name and waits."""
    other = subprocess.Popen(
        [sys.executable, "-c", TAKE, str(root)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert other.stdout is not None
    assert other.stdout.readline() == "taken\n"
    return other


def test_a_second_run_of_one_name_is_told_who_has_it(tmp_path: Path) -> None:
    other = hold(tmp_path)
    library = Registry(tmp_path)
    with pytest.raises(ExistsError, match=f"tales@b is being made by another run.*{other.pid}"):
        library.claim(("module",), "tales", "b", 4, replace=True)
    library.claim(("module",), "other", "b", 4)  # control: another name is free
    other.communicate("")
    library.claim(("module",), "tales", "b", 4)


@pytest.mark.parametrize("fails", ["another run", "cannot write"])
def test_a_claim_of_which_one_part_is_refused_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """The interface's name is had by another run, or the disk refuses it."""
    library = Registry(tmp_path)
    library.claim(("bank",), "tales", "b", 4)
    own = _locks(tmp_path)
    if fails == "another run":
        lock = tmp_path / claims.FOLDER / "b+d4+interface+tales.lock"
        other = FileLock(lock)
        other.acquire()
    else:
        plain = FileLock.acquire

        def refuse(self: FileLock) -> object:
            if "interface" in self.lock_file:
                raise OSError(28, "No space left on device")
            return plain(self)

        monkeypatch.setattr(FileLock, "acquire", refuse)
    with pytest.raises((ExistsError, StorageError), match=fails):
        library.claim(("bank", "module", "interface"), "tales", "b", 4)
    if fails == "another run":
        other.release()
        lock.unlink()
    assert _locks(tmp_path) == own == {"b+d4+bank+tales.lock"}  # what it had before stays
    monkeypatch.undo()
    library.claim(("bank", "module", "interface"), "tales", "b", 4)  # control: all of them
    assert len(_locks(tmp_path)) == 3
    library.release()


def _locks(root: Path) -> set[str]:
    return {file.name for file in (root / claims.FOLDER).glob("*.lock")}


def test_a_killed_run_holds_nothing(tmp_path: Path) -> None:
    with hold(tmp_path) as other:
        with pytest.raises(ExistsError, match="another run"):  # control: while it lives
            Registry(tmp_path).claim(("module", "interface"), "tales", "b", 4)
        other.kill()
    Registry(tmp_path).claim(("module", "interface"), "tales", "b", 4)


def test_a_claim_is_given_back_with_the_write_and_leaves_nothing(
    tmp_path: Path, make: Callable[..., Manifest]
) -> None:
    library, manifest = Registry(tmp_path), make()
    place = (manifest.kind,), manifest.name, manifest.backbone.id, manifest.d_abi
    library.claim(*place)
    library.claim(*place)  # one's own
    assert (tmp_path / claims.FOLDER).is_dir()
    library.write(manifest, WEIGHTS)
    assert not (tmp_path / claims.FOLDER).exists()
    with pytest.raises(ExistsError, match="already"):
        library.claim(*place)
    library.claim(*place, replace=True)
    claims.release(tmp_path, library.find(*_named(manifest)).path.relative_to(tmp_path))


def test_a_name_that_was_written_before_the_claim_was_had_is_taken(
    tmp_path: Path, make: Callable[..., Manifest], monkeypatch
) -> None:
    library, manifest = Registry(tmp_path), make()
    place = (manifest.kind,), manifest.name, manifest.backbone.id, manifest.d_abi
    plain = claims.claim

    def other_ends_then_claim(*args):
        library.write(manifest, WEIGHTS)
        return plain(*args)

    monkeypatch.setattr(claims, "claim", other_ends_then_claim)
    with pytest.raises(ExistsError, match="already"):
        library.claim(*place)
    assert not (tmp_path / claims.FOLDER).exists()


def test_a_claim_writes_through_no_link_and_waits_for_no_pipe(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    root.mkdir()
    (root / claims.FOLDER).symlink_to(outside)
    with pytest.raises(CorruptError, match="link"):
        Registry(root).claim(("module",), "a", "b", 4)
    assert not [*outside.iterdir()]
    (root / claims.FOLDER).unlink()
    (root / claims.FOLDER).mkdir()
    (outside / "mine").write_text("mine")
    note = root / claims.FOLDER / "b+d4+module+a.json"
    note.symlink_to(outside / "mine")
    Registry(root).claim(("module",), "a", "b", 4)
    assert (outside / "mine").read_text() == "mine"
    assert "process" in note.read_text()
    Registry(root).release()
    with hold(root) as other:
        note = next((root / claims.FOLDER).glob("*module*.json"))
        note.unlink()
        os.mkfifo(note)
        with pytest.raises(ExistsError, match="another process"):
            Registry(root).claim(("module",), "tales", "b", 4)
        other.kill()


def test_the_longest_names_can_be_claimed(tmp_path: Path) -> None:
    library, longest = Registry(tmp_path), "n" * 128
    library.claim(("module", "interface"), longest, f"{longest[:120]}/{longest[:120]}", 4)
    assert len([*(tmp_path / claims.FOLDER).glob("*.lock")]) == 2
    library.release()
    assert not (tmp_path / claims.FOLDER).exists()


def _named(manifest):
    return manifest.kind, manifest.name, manifest.backbone.id, manifest.d_abi


def test_a_taken_name_proposes_replace_only_where_that_would_help(
    tmp_path: Path, make: Callable[..., Manifest]
) -> None:
    library, manifest = Registry(tmp_path), make()
    library.write(manifest, WEIGHTS)
    kind, name, host, d_abi = _named(manifest)
    with pytest.raises(ExistsError, match="`replace` where there is one, or another name"):
        library.claim((kind,), name, host, d_abi)
    with pytest.raises(ExistsError) as of_another_kind:
        library.check_free((kind, "linear"), name, host, None)
    assert "`rm(" in str(of_another_kind.value)
    assert "replace" not in str(of_another_kind.value)


def test_what_can_never_be_stored_is_refused(tmp_path: Path) -> None:
    library = Registry(tmp_path)
    with pytest.raises(InputError, match="letters"):
        library.claim(("module",), "../up", "b", 4, replace=True)
    with pytest.raises(ExistsError, match="ships"):
        library.claim(("module",), "python-shipped", "ref-gpt2", 128, replace=True)
    with pytest.raises(ExistsError):
        library.claim(("backbone",), "ref-gpt2", None, None, replace=True)
    with pytest.raises(InputError, match="registry root"):
        Registry(REFERENCE).claim(("module",), "mine", "ref-gpt2", 128)
    with pytest.raises(StorageError, match="too full"):
        library.claim(("module",), "huge", "b", 4, needed=1 << 60)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_root_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="cannot write"):
        Registry(tmp_path / "new").claim(("module",), "a", "b", 4)


def test_a_folder_inside_that_cannot_be_written_is_named_before_the_work(
    tmp_path: Path, make: Callable[..., Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a registry that others share: what they have made is theirs."""
    library = Registry(tmp_path)
    closed = library.write(make(), WEIGHTS).path.parents[1]
    able = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != closed and able(path, mode))
    width = int(closed.name.removeprefix("d"))
    for replace in (False, True):
        with pytest.raises(StorageError, match=f"found {closed} is not writable"):
            library.claim(("bank",), "other", closed.parent.name, width, replace=replace)
    library.claim(("bank",), "other", "elsewhere", width)  # control


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a b", "x" * 200])
def test_the_form_of_a_name_is_looked_at_without_anything_stored(tmp_path: Path, name: str) -> None:
    library = Registry(tmp_path / "new")
    with pytest.raises(InputError, match="is no name"):
        library.check_name(name)
    library.check_name("a.b_c-1")  # control
    assert not (tmp_path / "new").exists()
