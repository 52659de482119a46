"""What `abi basis` writes beside the library: all of it, or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from registry.store import Registry
from tests.commands.basis_runs import fit_named
from tests.commands.test_bad_input import assert_refused
from transplant import memory
from transplant.errors import StorageError
from transplant.workflows.basis import adapt

ADAPT = ("--name", "in-w", "--steps", "2", "--batch", "2", "--window", "64", "--tokens", "2k",
         "--calibration-tokens", "300", "--eval-tokens", "300", "--evaluate-every", "2",
         "--learning-rate", "0.02", "--forget", "none")  # fmt: skip


@pytest.fixture(scope="module")
def allocated(trained_abi, corpus):
    """A registry with the basis `w` of tiny-llama, which has ranks."""
    abi, _ = fit_named(trained_abi, corpus, "w")
    words = ("--budget", "400", "--score", "energy", "--step", "2", "--json")
    ran = abi("basis", "allocate", "w@tiny-llama", *words)
    assert ran.code == 0, ran.err
    return abi


def _half(done: Any, failure: BaseException):
    """Something that does its work and then fails."""

    def fail(*args: Any, **options: Any) -> None:
        done(*args, **options)
        raise failure

    return fail


def _stored(abi) -> dict[tuple[str, str], str]:
    entries = Registry.open(abi.root).entries()
    return {(entry.kind, entry.hosted): entry.manifest.sha256 for entry in entries}


@pytest.mark.parametrize("failure", [StorageError("the disk is full"), KeyboardInterrupt()])
@pytest.mark.parametrize("at", ["peft", "merge", "entry"])
def test_an_adapter_its_folder_and_its_merged_backbone_are_all_there_or_none_is(
    allocated, corpus, tmp_path, monkeypatch, at, failure
):
    import transplant.surgery.lora.peft_folder as peft_folder
    import transplant.workflows.vocabulary as vocabulary

    abi, before = allocated, _stored(allocated)
    out = tmp_path / "deep" / "lora"
    words = ("basis", "adapt", "w@tiny-llama", "--domain", "tales", "--data", corpus, *ADAPT,
             "--peft", str(out), "--merge", "whole", "--json")  # fmt: skip
    with monkeypatch.context() as patch:
        if at == "peft":
            patch.setattr(peft_folder, "write_peft", _half(peft_folder.write_peft, failure))
        elif at == "merge":
            patch.setattr(vocabulary, "write_model", _half(vocabulary.write_model, failure))
        else:
            patch.setattr(adapt, "store_basis", _half(lambda *_a, **_o: None, failure))
        ran = abi(*words)
        assert ran.code in (1, 130), ran.err
    assert _stored(abi) == before
    assert [*tmp_path.iterdir()] == []
    assert not [*(Path(abi.root) / ".runs").glob("*storing*")]


def test_an_adapter_that_was_there_stands_where_its_successor_fails(
    allocated, corpus, tmp_path, monkeypatch
):
    import transplant.workflows.vocabulary as vocabulary

    abi, out = allocated, tmp_path / "lora"
    words = ("basis", "adapt", "w@tiny-llama", "--domain", "tales", "--data", corpus, *ADAPT,
             "--json")  # fmt: skip
    first = abi(*words)
    assert first.code == 0, first.err
    again = (*words, "--replace", "--steps", "3", "--peft", str(out), "--merge", "whole")
    with monkeypatch.context() as patch:
        full = StorageError("the disk is full")
        patch.setattr(vocabulary, "write_model", _half(vocabulary.write_model, full))
        assert_refused(abi(*again), "full")
    named = ("basis", "in-w@tiny-llama/d0")
    assert _stored(abi)[named] == first.json["sha256"]
    assert not out.exists()
    ran = abi(*again)  # control
    assert ran.code == 0, ran.err
    assert _stored(abi)[named] == ran.json["sha256"] != first.json["sha256"]
    merged = Registry.open(abi.root).find("backbone", "whole").manifest
    assert merged.parents["basis"] == ran.json["sha256"]
    assert (out / "adapter_model.safetensors").is_file()


def test_a_merge_that_memory_does_not_hold_is_refused_before_the_training(
    allocated, corpus, monkeypatch
):
    read = []
    monkeypatch.setattr(adapt, "read_as_needed", lambda *_, **__: read.append("text"))
    monkeypatch.setattr(memory, "available_bytes", lambda: 50_000)
    words = ("basis", "adapt", "w@tiny-llama", "--domain", "tales", "--data", corpus, *ADAPT,
             "--replace", "--merge", "large", "--json")  # fmt: skip
    ran = allocated(*words)
    assert_refused(ran, "a merge into tiny-llama does not fit into memory", "--merge")
    assert not read


def test_ranks_that_cannot_be_drawn_are_not_stored(allocated, tmp_path, monkeypatch):
    import transplant.pictures.ranks as ranks

    abi, before = allocated, _stored(allocated)
    library = Registry.open(abi.root)
    stood = library.find("basis", "w", "tiny-llama").manifest.made["basis"]
    words = ("basis", "allocate", "w@tiny-llama", "--budget", "300", "--score", "energy",
             "--step", "2", "--out", str(tmp_path / "out"), "--json")  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(ranks, "as_png", _half(ranks.as_png, StorageError("no picture")))
        assert_refused(abi(*words), "no picture")
    assert _stored(abi) == before
    assert library.find("basis", "w", "tiny-llama").manifest.made["basis"] == stood
    assert [*tmp_path.iterdir()] == []
    ran = abi(*words)  # control
    assert ran.code == 0, ran.err
    assert library.find("basis", "w", "tiny-llama").manifest.made["basis"] != stood
    assert len(ran.json["files"]) == 3
