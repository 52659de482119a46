from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
import torch

from registry import Registry
from tests.registry.stored import OTHER, WEIGHTS, Make, files_under
from transplant.errors import (
    CorruptError,
    ExistsError,
    InputError,
    NotFoundError,
    NumericalError,
    StorageError,
)
from transplant.files import safetensors as tensors


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
    with pytest.raises(CorruptError, match=f"tensor {broken[0]}:.*`rm\\('python@ref-gpt2/d4'\\)`"):
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
