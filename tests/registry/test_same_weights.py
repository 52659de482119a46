"""An artifact belongs to the weights that it was made for, whatever their backbone is called."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from registry import BackboneRecord, Manifest, Registry
from tests.registry.stored import OTHER, WEIGHTS
from transplant.errors import ExistsError, InputError, NotFoundError
from transplant.library import KnownBackbone

ONE, TWO = "1" * 64, "2" * 64


def backbone(name: str | Path, weights: str = ONE, tokenizer: str = TWO) -> KnownBackbone:
    return KnownBackbone(
        name=str(name), family="llama", d_model=8, weights_sha256=weights,
        tokenizer_sha256=tokenizer, config_sha256=None,
    )  # fmt: skip


@pytest.fixture
def put(store: Registry) -> Callable[..., Path]:
    def write(of: KnownBackbone, name="python", kind="module", weights=WEIGHTS, **more) -> Path:
        record = BackboneRecord.of(of)
        manifest = Manifest(name=name, kind=kind, backbone=record, d_abi=4)
        return store.write(manifest, weights, **more).path

    return write


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, str]:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    return str(tmp_path / "here"), str(tmp_path / "there")


def test_a_module_is_found_under_another_name_of_its_weights(store, put, folders):
    here, there = folders
    path = put(backbone(here))
    with pytest.raises(NotFoundError):  # nothing is known of that folder yet
        store.find("module", "python", there)
    store.meet(backbone(there))
    assert store.find("module", "python", there).path == path
    assert [entry.path for entry in store.choices("module", there)] == [path]
    assert [entry.path for entry in store.entries(backbone=there)] == [path]
    store.meet(backbone(there, weights=TWO))  # the control: other weights
    with pytest.raises(NotFoundError):
        store.find("module", "python", there)
    assert store.choices("module", there) == store.entries(backbone=there) == []


@pytest.mark.parametrize("part", ["weights", "tokenizer"])
def test_what_was_made_for_other_weights_of_that_name_gives_way(store, put, folders, part):
    """Two folders change places: each keeps its own module."""
    here, there = folders
    other = {part: "3" * 64}
    ours, theirs = put(backbone(here)), put(backbone(there, **other), weights=OTHER)
    store.meet(backbone(there))
    store.meet(backbone(here, **other))
    assert store.find("module", "python", there).path == ours
    assert store.find("module", "python", here).path == theirs


def test_other_weights_of_one_name_have_a_module_of_that_name_each(store, put, folders):
    here, there = folders
    ours = put(backbone(here))
    store.meet(backbone(here, weights=TWO))
    store.check_free(("module",), "python", here, 4)
    theirs = put(backbone(here, weights=TWO), weights=OTHER)
    assert store.find("module", "python", here).path == theirs != ours
    store.meet(backbone(there))
    assert store.find("module", "python", there).path == ours
    store.remove(store.find("module", "python", there))
    assert Registry(store.root, store.reference).find("module", "python", here).path == theirs


def test_a_name_is_taken_by_what_a_moved_folder_has(store, put, folders):
    here, there = folders
    path = put(backbone(here))
    store.meet(backbone(there))
    store.check_free(("module",), "python", there, 4)  # the control: that folder is still there
    Path(here).rmdir()
    with pytest.raises(ExistsError, match="python@.*here"):
        store.check_free(("module",), "python", there, 4)
    with pytest.raises(ExistsError):
        put(backbone(there), weights=OTHER)
    assert put(backbone(there), weights=OTHER, replace=True) == path
    assert len(store.entries()) == 1


def test_a_claim_is_refused_once_the_folder_is_known(store, put, folders):
    here, there = folders
    put(backbone(here))
    Path(here).rmdir()
    store.claim(("module",), "python", there, 4)
    with pytest.raises(ExistsError):
        store.meet(backbone(there))
    store.release()


def test_two_names_of_the_same_weights_keep_their_own_and_a_third_must_say_which(
    store, put, folders, tmp_path
):
    here, there = folders
    ours, theirs = put(backbone(here)), put(backbone(there), weights=OTHER)
    for name in (here, there, tmp_path / "third"):
        store.meet(backbone(name))
    assert store.find("module", "python", here).path == ours
    assert store.find("module", "python", there).path == theirs
    with pytest.raises(InputError, match="ambiguous") as raised:
        store.find("module", "python", str(tmp_path / "third"))
    assert f"python@{here}/d4" in str(raised.value)


def test_fingerprints_that_are_none_are_not_compared(store, put, folders):
    here, there = folders
    put(dataclasses.replace(backbone(here), weights_sha256="w"))
    store.meet(dataclasses.replace(backbone(there), weights_sha256="w"))
    with pytest.raises(NotFoundError):
        store.find("module", "python", there)
