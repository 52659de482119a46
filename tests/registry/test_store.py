from __future__ import annotations

import dataclasses
import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import filelock
import pytest
import torch

from registry import Entry, Manifest, Registry, staging, tensors
from transplant.errors import (
    CorruptError,
    ExistsError,
    InputError,
    NotFoundError,
    NumericalError,
    StorageError,
    VersionError,
)

Make = Callable[..., Manifest]
WEIGHTS = {"w1": torch.arange(6.0).reshape(2, 3), "b1": torch.ones(3, dtype=torch.bfloat16)}
OTHER = {"w1": torch.full((2, 3), 7.0)}


def files_under(folder: Path) -> dict[str, bytes]:
    """Every file's bytes by relative path, the lock left out."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def ship(store: Registry, make: Make, **fields: object) -> Entry:
    """Put an artifact where the package's own are."""
    Registry(store.reference, store.root / "nowhere").write(make(**fields), WEIGHTS)
    (store.reference / ".lock").unlink(missing_ok=True)
    return next(entry for entry in store.entries() if entry.shipped)


def test_what_is_written_is_what_is_read(store: Registry, make: Make) -> None:
    entry = store.write(make(made={"seed": 3}, taps=(2,)), WEIGHTS)
    assert entry.path == store.root / "ref-gpt2" / "d4" / "module" / "python"
    assert sorted(files_under(entry.path)) == ["manifest.json", "weights.safetensors"]
    found = store.find("module", "python", "ref-gpt2")
    assert found == entry
    assert not found.shipped
    loaded = store.read(found)
    assert loaded.keys() == WEIGHTS.keys()
    for name, tensor in WEIGHTS.items():
        torch.testing.assert_close(loaded[name], tensor, rtol=0, atol=0)
    assert entry.manifest.tensors == tensors.hash_tensors(entry.weights)
    assert entry.manifest.made == {"seed": 3}


def test_the_same_tensors_have_one_sha256_on_every_backbone(store: Registry, make: Make) -> None:
    first = store.write(make(), WEIGHTS)
    moved = store.write(make(backbone="org/model", name="moved"), dict(reversed(WEIGHTS.items())))
    changed = store.write(make(name="changed"), OTHER)
    assert first.manifest.sha256 == moved.manifest.sha256 != changed.manifest.sha256


def test_records_come_from_the_bytes_and_not_from_the_caller(store: Registry, make: Make) -> None:
    wrong = store.write(make(), OTHER).manifest.tensors
    entry = store.write(make(name="second", tensors=wrong), WEIGHTS)
    store.verify(entry)
    assert entry.manifest.tensors.keys() == WEIGHTS.keys()


def test_a_flipped_byte_names_the_tensor(store: Registry, make: Make) -> None:
    entry = store.write(make(), WEIGHTS)
    data = bytearray(entry.weights.read_bytes())
    data[-1] ^= 1
    entry.weights.write_bytes(data)
    broken = [n for n, t in tensors.hash_tensors(entry.weights).items()
              if t != entry.manifest.tensors[n]]  # fmt: skip
    assert len(broken) == 1
    with pytest.raises(CorruptError, match=f"tensor {broken[0]}:.*abi rm python@ref-gpt2/d4"):
        store.read(entry)


def test_missing_weights_are_corrupt(store: Registry, make: Make) -> None:
    entry = store.write(make(), WEIGHTS)
    entry.weights.unlink()
    with pytest.raises(CorruptError, match=r"weights\.safetensors is missing"):
        store.read(entry)


def test_an_existing_name_is_refused_unless_it_is_replaced(store: Registry, make: Make) -> None:
    old = store.write(make(), WEIGHTS)
    before = files_under(store.root)
    with pytest.raises(ExistsError, match="python@ref-gpt2/d4 is already in"):
        store.write(make(), OTHER)
    assert files_under(store.root) == before
    new = store.write(make(), OTHER, replace=True)
    assert new.path == old.path
    assert store.read(new)["w1"].unique().tolist() == [7.0]
    assert len(files_under(store.root)) == 2


def test_an_entry_that_was_replaced_is_not_called_corrupt(store: Registry, make: Make) -> None:
    old = store.write(make(), WEIGHTS)
    store.write(make(), OTHER, replace=True)
    with pytest.raises(NotFoundError, match="replaced or removed"):
        store.read(old)


def test_weights_missed_during_a_replacement_by_the_same_are_not_called_corrupt(
    store: Registry, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = store.write(make(), WEIGHTS)

    def replaced_meanwhile(path: Path) -> None:
        store.write(make(), WEIGHTS, replace=True)
        raise CorruptError(f"{path} is missing")

    monkeypatch.setattr(tensors, "load", replaced_meanwhile)
    with pytest.raises(NotFoundError, match="replaced or removed"):
        store.read(entry)


def test_tensors_swapped_between_check_and_load_are_not_handed_out(
    store: Registry, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = store.write(make(), WEIGHTS)
    load = tensors.load

    def swap_then_load(path: Path) -> dict[str, torch.Tensor]:
        store.write(make(), OTHER, replace=True)
        return load(path)

    monkeypatch.setattr(tensors, "load", swap_then_load)
    with pytest.raises(NotFoundError, match="replaced or removed"):
        store.read(entry)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_tensor_that_is_not_finite_is_not_written(
    store: Registry, make: Make, bad: float
) -> None:
    with pytest.raises(NumericalError, match="tensor w2"):
        store.write(make(), {**WEIGHTS, "w2": torch.tensor([1.0, bad])})
    assert files_under(store.root) == {}


@pytest.mark.parametrize("name", ["..", "../up", "a/b", ".hidden", ""])
def test_no_name_leaves_the_root(store: Registry, make: Make, name: str) -> None:
    with pytest.raises(InputError):
        store.write(make(name=name), WEIGHTS)
    store.write(make(), WEIGHTS)
    with pytest.raises(InputError):
        store.find("module", name, "ref-gpt2")
    with pytest.raises(InputError):
        store.find("../module", "python", "ref-gpt2")


@pytest.mark.parametrize("backbone", ["..", "../../up", "/", "/etc", "./a b"])
def test_no_backbone_leaves_the_root(
    store: Registry, make: Make, tmp_path: Path, backbone: str
) -> None:
    entry = store.write(make(backbone=backbone), WEIGHTS)
    assert entry.path.parents[3].resolve() == store.root.resolve()
    assert len(files_under(tmp_path)) == len(files_under(store.root)) == 2


def test_an_ambiguous_d_abi_asks_for_the_suffix(store: Registry, make: Make) -> None:
    for d_abi in (4, 8, None):
        store.write(make(d_abi=d_abi), WEIGHTS)
    with pytest.raises(InputError) as caught:
        store.find("module", "python", "ref-gpt2")
    for part in ("python@ref-gpt2/d4", "python@ref-gpt2/d8", "add /d<d_abi>"):
        assert part in str(caught.value)
    assert store.find("module", "python", "ref-gpt2", 8).manifest.d_abi == 8
    assert store.find("module", "python", "ref-gpt2", 0).manifest.d_abi is None


def test_an_unknown_name_lists_the_closest(store: Registry, make: Make) -> None:
    with pytest.raises(NotFoundError, match="no module at all"):
        store.find("module", "python", "ref-gpt2")
    for name in ("python", "law", "biology", "poetry"):
        store.write(make(name=name), WEIGHTS)
    store.write(make(name="pythons", kind="interface"), WEIGHTS)
    with pytest.raises(NotFoundError) as caught:
        store.find("module", "pyton", "ref-gpt2")
    assert "closest are python@ref-gpt2/d4," in str(caught.value)
    assert "pythons" not in str(caught.value)
    assert "abi list" in str(caught.value)
    with pytest.raises(NotFoundError):
        store.find("module", "python", "ref-gpt2", 5)
    with pytest.raises(InputError, match="backbone it belongs to"):
        store.find("module", "python")


def test_entries_are_sorted_and_filtered(store: Registry, make: Make) -> None:
    assert store.entries() == []
    store.write(make(backbone="org/model"), WEIGHTS)
    store.write(make(name="law", kind="interface"), WEIGHTS)
    store.write(make(name="z"), WEIGHTS)
    store.write(make(name="a", d_abi=16), WEIGHTS)
    assert [entry.hosted for entry in store.entries()] == [
        "python@org/model/d4",
        "a@ref-gpt2/d16",
        "z@ref-gpt2/d4",
        "law@ref-gpt2/d4",
    ]
    assert [e.manifest.name for e in store.entries("interface")] == ["law"]
    assert [e.manifest.name for e in store.entries(backbone="org/model")] == ["python"]
    assert store.entries(backbone="ref") == []
    with pytest.raises(InputError, match="kind"):
        store.entries("modules")


@pytest.mark.parametrize("fault", ["no manifest", "no json", "future", "elsewhere", "no utf-8"])
def test_a_broken_folder_is_a_problem_and_hides_nothing_else(
    store: Registry, make: Make, fault: str
) -> None:
    good = store.write(make(name="good"), WEIGHTS)
    bad = store.write(make(name="bad"), WEIGHTS).path
    file = bad / "manifest.json"
    if fault == "no manifest":
        file.unlink()
    elif fault == "no json":
        file.write_text("{")
    elif fault == "no utf-8":
        file.write_bytes(b"\xff")
    elif fault == "future":
        file.write_text(file.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    else:
        shutil.copy(good.path / "manifest.json", file)
    assert store.entries() == [good]
    [problem] = store.problems()
    error = VersionError if fault == "future" else CorruptError
    assert isinstance(problem, error)
    assert str(bad) in str(problem)
    with pytest.raises(error):
        store.find("module", "bad", "ref-gpt2")


def test_stray_files_are_no_artifacts(store: Registry, make: Make) -> None:
    entry = store.write(make(), WEIGHTS)
    for place in (".", "ref-gpt2", "ref-gpt2/d4", "ref-gpt2/d4/module"):
        (store.root / place / "README.md").write_text("x")
    (store.root / "ref-gpt2" / "d4" / "notes" / "x").mkdir(parents=True)
    assert store.entries() == [entry]
    assert store.problems() == []


def test_shipped_artifacts_are_found_but_never_written(store: Registry, make: Make) -> None:
    shipped = ship(store, make)
    before = files_under(store.reference)
    assert store.find("module", "python", "ref-gpt2") == shipped
    assert store.read(shipped).keys() == WEIGHTS.keys()
    with pytest.raises(InputError, match="ships with abi"):
        store.remove(shipped)
    with pytest.raises(ExistsError, match="ships with abi"):
        store.write(make(), OTHER, replace=True)
    inside = Registry(store.reference, store.reference)
    with pytest.raises(InputError, match="ships with abi"):
        inside.write(make(name="new"), OTHER)
    with pytest.raises(InputError, match="ships with abi"):
        inside.remove(inside.entries()[0])
    assert files_under(store.reference) == before
    assert not (store.reference / ".lock").exists()


def test_an_own_artifact_comes_before_a_shipped_one(store: Registry, make: Make) -> None:
    own = store.write(make(), OTHER)
    Registry(store.reference, store.root / "nowhere").write(make(), WEIGHTS)
    assert store.entries() == [own]
    assert store.find("module", "python", "ref-gpt2") == own


def test_remove_frees_the_bytes_and_the_emptied_folders(store: Registry, make: Make) -> None:
    kept = store.write(make(name="law"), WEIGHTS)
    entry = store.write(make(kind="interface"), WEIGHTS)
    size = sum(map(len, files_under(entry.path).values()))
    assert store.remove(entry) == size > 0
    assert not entry.path.parent.exists()
    assert store.entries() == [kept]
    store.remove(kept)
    assert [path.name for path in store.root.iterdir() if path.name != ".lock"] == []
    with pytest.raises(StorageError):
        store.remove(kept)


def test_remove_refuses_what_is_outside_the_root(
    store: Registry, make: Make, tmp_path: Path
) -> None:
    entry = store.write(make(), WEIGHTS)
    copy = tmp_path / "ref-gpt2" / "d4" / "module" / "python"
    shutil.copytree(entry.path, copy)
    link = store.root / "ref-gpt2" / "d4" / "module" / "link"
    link.symlink_to(copy)
    for path in (copy, store.root, store.root.parent, entry.path.parent, link,
                 store.root / ".." / "ref-gpt2" / "d4" / "module" / "python"):  # fmt: skip
        with pytest.raises(InputError, match="cannot remove"):
            store.remove(dataclasses.replace(entry, path=path))
    assert len(files_under(copy)) == 2
    assert store.entries() == [entry]


def fail_with(error: BaseException) -> Callable[..., None]:
    def fail(*_args: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("module", "function"), [(tensors, "save"), (staging, "flush"), (staging.os, "rename")]
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
    assert caught.value.expected == "24 bytes free"
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
        patch.setattr(staging, "flush", fail_with(KeyboardInterrupt()))
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


def test_the_root_is_the_argument_then_the_environment_then_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ABI_REGISTRY", str(tmp_path / "env"))
    assert Registry.open(tmp_path / "given").root == tmp_path / "given"
    assert Registry.open().root == tmp_path / "env"
    monkeypatch.setenv("ABI_REGISTRY", "")
    monkeypatch.setattr("platformdirs.user_data_dir", lambda app: str(tmp_path / "user" / app))
    assert Registry.open().root == tmp_path / "user" / "abi"
    assert not any(tmp_path.iterdir())
