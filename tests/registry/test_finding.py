"""Entries by name: the root, the shipped ones, and what is no entry."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from registry import Registry
from tests.registry.stored import OTHER, WEIGHTS, Make, files_under, ship
from transplant.errors import CorruptError, ExistsError, InputError, NotFoundError, VersionError


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
    assert "`list()`" in str(caught.value)
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
