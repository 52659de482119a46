from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from registry import Manifest, Registry, staging
from transplant.errors import CorruptError, ExistsError, InputError, StorageError
from transplant.files import safetensors as tensors

Make = Callable[..., Manifest]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "saved"
    folder.mkdir()
    tensors.save(folder / "model.safetensors", {"wte": torch.arange(4.0)})
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    return folder


@pytest.fixture
def backbone(make: Make) -> Manifest:
    return make(name="ref-gpt2", kind="backbone", d_abi=None)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("modules_first", [False, True])
def test_a_backbone_stands_beside_its_modules(
    store: Registry, make: Make, backbone: Manifest, source: Path, modules_first: bool
) -> None:
    if modules_first:
        store.write(make(), {"w": torch.ones(1)})
    assert store.backbone_path("ref-gpt2") is None
    entry = store.write_backbone(backbone, source)
    if not modules_first:
        store.write(make(), {"w": torch.ones(1)})
    path = store.root / "ref-gpt2"
    assert store.backbone_path("ref-gpt2") == path == entry.path
    files = ["config.json", "manifest.json", "model.safetensors", "tokenizer.json"]
    assert names(path) == sorted(["d4", *files])
    assert store.find("backbone", "ref-gpt2") == entry
    assert entry.hosted == "ref-gpt2"
    assert store.read(entry)["wte"].tolist() == [0, 1, 2, 3]
    assert [e.manifest.kind for e in store.entries()] == ["backbone", "module"]
    assert store.problems() == []


def test_a_stored_backbone_is_never_replaced(
    store: Registry, backbone: Manifest, source: Path
) -> None:
    entry = store.write_backbone(backbone, source)
    tensors.save(source / "model.safetensors", {"wte": torch.zeros(4)})
    with pytest.raises(ExistsError, match="backbone ref-gpt2"):
        store.write_backbone(backbone, source)
    store.verify(entry)


def test_a_flipped_byte_of_a_backbone_names_the_tensor(
    store: Registry, backbone: Manifest, source: Path
) -> None:
    entry = store.write_backbone(backbone, source)
    data = bytearray(entry.weights.read_bytes())
    data[-1] ^= 1
    entry.weights.write_bytes(data)
    with pytest.raises(CorruptError, match="tensor wte"):
        store.verify(entry)


@pytest.mark.parametrize("function", ["replace", "fsync"])
def test_a_full_disk_leaves_the_modules_and_no_half_backbone(
    store: Registry,
    make: Make,
    backbone: Manifest,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    function: str,
) -> None:
    store.write(make(), {"w": torch.ones(1)})
    real, calls = getattr(staging.os, function), []

    def third_fails(*args: object) -> None:
        calls.append(args)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left")
        real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(staging.os, function, third_fails)
        with pytest.raises(StorageError, match="is full"):
            store.write_backbone(backbone, source)
    assert names(store.root) == [".lock", "ref-gpt2"]
    assert names(store.root / "ref-gpt2") == ["d4"]
    assert [e.manifest.kind for e in store.entries()] == ["module"]
    store.write_backbone(backbone, source)


def test_the_manifest_is_the_last_file_to_appear(
    store: Registry, backbone: Manifest, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, targets = staging.os.replace, []

    def record(old: Path, new: Path) -> None:
        assert store.entries() == []
        targets.append(new.name)
        replace(old, new)

    monkeypatch.setattr(staging.os, "replace", record)
    store.write_backbone(backbone, source)
    assert len(targets) == 4
    assert targets[-1] == "manifest.json"


def test_removing_a_backbone_keeps_its_modules(
    store: Registry, make: Make, backbone: Manifest, source: Path
) -> None:
    entry = store.write_backbone(backbone, source)
    module = store.write(make(), {"w": torch.ones(1)})
    assert store.remove(entry) > 0
    assert store.entries() == [module]
    assert names(store.root / "ref-gpt2") == ["d4"]


def test_removing_a_lone_backbone_removes_its_folder(
    store: Registry, backbone: Manifest, source: Path
) -> None:
    store.remove(store.write_backbone(backbone, source))
    assert names(store.root) == [".lock"]


def test_each_way_of_writing_takes_its_own_kind(
    store: Registry, make: Make, backbone: Manifest, source: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="kind"):
        store.write(backbone, {"w": torch.ones(1)})
    with pytest.raises(InputError, match=r"model\.safetensors"):
        store.write_backbone(make(), source)
    with pytest.raises(InputError, match=r"model\.safetensors"):
        store.write_backbone(backbone, tmp_path / "nothing")
    assert not store.root.exists()
