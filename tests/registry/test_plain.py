"""Pipes, links, devices, folders and huge files where a registry has plain ones."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from registry import Entry, Registry
from registry.entry import Broken
from registry.reads import MAX_MANIFEST
from tests.registry.stored import OTHER, WEIGHTS, Make, files_under
from transplant.errors import CorruptError, InputError, StorageError, TransplantError
from transplant.files import plain
from transplant.files import safetensors as tensors

SECRET = "outside the registry"


def pipe(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def link_out(path: Path) -> None:
    outside = path.parents[4] / f"outside-{path.name}"
    outside.write_text(SECRET)
    path.symlink_to(outside)


def dangling(path: Path) -> None:
    path.symlink_to(path.parent / "nothing")


def to_itself(path: Path) -> None:
    path.symlink_to(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def listening(path: Path) -> None:
    server, here = socket.socket(socket.AF_UNIX), Path.cwd()
    os.chdir(path.parent)  # an address may have 108 bytes
    try:
        server.bind(path.name)
    finally:
        os.chdir(here)
        server.close()


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(MAX_MANIFEST + 1)


ODD = [pipe, folder, link_out, dangling, to_itself, endless, listening]


@pytest.mark.parametrize("odd", [*ODD, huge])
def test_a_manifest_that_is_no_plain_file_is_named_and_removed_by_name(
    store: Registry, make: Make, tmp_path: Path, odd: Callable[[Path], None]
) -> None:
    store.write(make(name="good"), WEIGHTS)
    entry = store.write(make(), WEIGHTS)
    manifest = entry.path / "manifest.json"
    manifest.unlink()
    odd(manifest)
    before = {path: path.read_bytes() for path in tmp_path.glob("outside-*")}
    assert [found.hosted for found in store.entries()] == ["good@ref-gpt2/d4"]
    [problem] = store.problems()
    assert "`rm('python@ref-gpt2/d4', kind='module')`" in str(problem)
    assert SECRET not in str(problem)
    with pytest.raises(TransplantError):
        store.find("module", "python", "ref-gpt2")
    broken = store.held("module", "python", "ref-gpt2")
    assert isinstance(broken, Broken)
    store.remove(broken)
    assert [found.hosted for found in store.entries()] == ["good@ref-gpt2/d4"]
    assert store.problems() == []
    assert {path: path.read_bytes() for path in tmp_path.glob("outside-*")} == before


@pytest.mark.parametrize("odd", ODD)
def test_weights_that_are_no_plain_file_are_not_read(
    store: Registry, make: Make, odd: Callable[[Path], None]
) -> None:
    entry = store.write(make(), WEIGHTS)
    entry.weights.unlink()
    odd(entry.weights)
    for read in (store.read, store.verify):
        with pytest.raises(CorruptError, match=r"weights\.safetensors"):
            read(entry)


def test_a_link_to_the_same_weights_is_refused_and_the_file_itself_read(
    store: Registry, make: Make, tmp_path: Path
) -> None:
    entry = store.write(make(), WEIGHTS)
    moved = entry.weights.rename(tmp_path / "moved")
    entry.weights.symlink_to(moved)
    with pytest.raises(CorruptError, match="a link"):
        store.read(entry)
    assert tensors.hash_tensors(entry.weights) == entry.manifest.tensors  # who asks may follow
    entry.weights.unlink()
    moved.rename(entry.weights)
    assert store.read(store.find("module", "python", "ref-gpt2")).keys() == WEIGHTS.keys()


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_nothing_is_read_written_or_removed_through_a_linked_folder(
    store: Registry, make: Make, tmp_path: Path, depth: int
) -> None:
    entry = store.write(make(), WEIGHTS)
    at = store.root.joinpath(*entry.path.relative_to(store.root).parts[:depth])
    outside = at.rename(tmp_path / "outside")
    at.symlink_to(outside)
    before = files_under(outside)
    assert store.entries() == []
    assert "through a link" in str(store.problems()[0])
    if depth < 4:
        with pytest.raises(CorruptError, match="through a link"):
            store.write(make(name="other"), OTHER)
        with pytest.raises((InputError, CorruptError)):
            store.remove(store.held("module", "python", "ref-gpt2"))
    else:
        store.remove(store.held("module", "python", "ref-gpt2"))  # the link alone
        assert not at.is_symlink()
    assert files_under(outside) == before


@pytest.mark.parametrize("odd", [pipe, folder, dangling])
def test_a_lock_that_is_no_plain_file_is_named(
    store: Registry, make: Make, odd: Callable[[Path], None]
) -> None:
    store.root.mkdir()
    odd(store.root / ".lock")
    with pytest.raises(StorageError, match=r"\.lock"):
        store.write(make(), WEIGHTS)
    assert store.entries() == []


@pytest.mark.parametrize("role", ["tmp", "old"])
@pytest.mark.parametrize("odd", [pipe, link_out, dangling])
def test_what_lies_where_a_writer_stages_is_cleared_not_followed(
    store: Registry, make: Make, tmp_path: Path, odd: Callable[[Path], None], role: str
) -> None:
    entry = store.write(make(), WEIGHTS)
    odd(entry.path.with_name(f".python.{role}"))
    again = store.write(make(), OTHER, replace=True)
    assert os.listdir(again.path.parent) == ["python"]
    assert all(path.read_text() == SECRET for path in tmp_path.glob("outside-*"))


@pytest.mark.parametrize(
    ("odd", "word"),
    [(pipe, "named pipe"), (dangling, "link to nothing"), (to_itself, "link"),
     (endless, "device"), (lambda path: path.write_text(""), "a file")],
)  # fmt: skip
def test_a_root_that_is_no_folder_is_refused_by_every_reader(
    tmp_path: Path, make: Make, odd: Callable[[Path], None], word: str
) -> None:
    root = tmp_path / "root"
    odd(root)
    store = Registry(root, tmp_path / "reference")
    for use in (store.entries, store.problems, lambda: store.backbone_path("ref-gpt2"),
                lambda: store.find("module", "python", "ref-gpt2")):  # fmt: skip
        with pytest.raises(StorageError, match=word):
            use()
    with pytest.raises(StorageError):
        store.write(make(), WEIGHTS)
    assert Registry(tmp_path / "absent", tmp_path / "reference").entries() == []


def test_a_root_that_is_a_link_to_a_folder_is_a_registry(
    store: Registry, make: Make, tmp_path: Path
) -> None:
    store.root.mkdir()
    (tmp_path / "link").symlink_to(store.root)
    linked = Registry(tmp_path / "link", store.reference)
    entry = linked.write(make(), WEIGHTS)
    assert isinstance(store.held("module", "python", "ref-gpt2"), Entry)
    assert linked.read(entry).keys() == WEIGHTS.keys()
    linked.remove(entry)
    assert store.entries() == []


@pytest.mark.parametrize("name", [b"a\nb", b"\xff\xfe", b"\x1b[31mred", b"a b"])
def test_a_folder_with_an_impossible_name_is_one_printable_line(
    store: Registry, make: Make, name: bytes
) -> None:
    entry = store.write(make(), WEIGHTS)
    os.mkdir(os.path.join(os.fsencode(entry.path.parent), name))
    [problem] = store.problems()
    assert store.entries() == [entry]
    assert "\x1b" not in str(problem)
    " ".join(str(problem).split()).encode()


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
@pytest.mark.parametrize("odd", [pipe, dangling, endless])
def test_a_backbone_folder_with_other_than_plain_files_is_not_handed_out(
    store: Registry, make: Make, tmp_path: Path, file: str, odd: Callable[[Path], None]
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    tensors.save(source / "model.safetensors", WEIGHTS)
    for name in ("config.json", "tokenizer.json"):
        (source / name).write_text("{}")
    entry = store.write_backbone(
        make(kind="backbone", name="base", backbone="base", d_abi=None), source
    )
    assert store.backbone_path("base") == entry.path  # the control
    (entry.path / file).unlink()
    odd(entry.path / file)
    with pytest.raises(CorruptError, match=file):
        store.backbone_path("base")


def test_a_broken_backbone_is_removed_without_the_modules_beside_it(
    store: Registry, make: Make, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    tensors.save(source / "model.safetensors", WEIGHTS)
    made = make(kind="backbone", name="ref-gpt2", d_abi=None)
    base = store.write_backbone(made, source)
    module = store.write(make(), WEIGHTS)
    (base.path / "manifest.json").write_text("{")
    broken = store.held("backbone", "ref-gpt2")
    assert isinstance(broken, Broken)
    assert "`rm('ref-gpt2')`" in str(broken.error)
    store.remove(broken)
    assert os.listdir(base.path) == ["d4"]
    assert store.entries() == [module]


def test_a_broken_one_that_ships_is_not_removed(store: Registry, make: Make) -> None:
    shipped = Registry(store.reference, store.root / "nowhere").write(make(), WEIGHTS)
    (shipped.path / "manifest.json").write_text("{")
    broken = store.held("module", "python", "ref-gpt2")
    assert isinstance(broken, Broken)
    assert "reinstall the package" in str(broken.error)
    with pytest.raises(InputError, match="ships with abi"):
        store.remove(broken)
    assert plain.read_plain(shipped.path / "manifest.json", 9) == b"{"
