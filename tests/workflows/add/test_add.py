"""A backbone that is added has a short name; modules belong to its weights wherever they lie."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

import transplant
from tests.registry.stored import files_under
from tests.tiny import tiny_model
from tests.workflows.add.added import load, logits
from transplant.backbones import dequantise, memory
from transplant.errors import (
    BackboneError,
    CorruptError,
    ExistsError,
    InputError,
    NotFoundError,
)


def train(work, backbone, corpus, name="tales", **options):
    config = transplant.TrainConfig(steps=3, window=64, batch=2, train_tokens=2_000, d_abi=16)
    return work.train(backbone, name, data=corpus, config=config, eval_tokens=500, **options)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory, tiny_texts):
    from tests.tiny_registry import put_corpus

    return put_corpus(tmp_path_factory.mktemp("corpus") / "tales", tiny_texts)


@pytest.mark.parametrize("copy", [False, True])
def test_a_folder_is_loaded_under_its_short_name(work, folder, copy):
    before = files_under(folder)
    report = work.add(folder, "short", copy=copy)
    direct = transplant.load_backbone(folder)
    assert report["weights_sha256"] == direct.weights_sha256
    assert report["added"]["by"] == ("copy" if copy else "reference")
    assert torch.equal(logits(load(work, "short")), logits(direct.model))
    entry = work.library.find("backbone", "short")
    work.library.verify(entry)
    held = [path.name for path in entry.path.iterdir()]
    assert ("model.safetensors" in held) == copy
    assert work.library.read(entry).keys() == load_file(folder / "model.safetensors").keys()
    work.library.remove(entry)
    assert files_under(folder) == before
    with pytest.raises(NotFoundError):
        work.library.find("backbone", "short")


@pytest.mark.parametrize("copy", [False, True])
def test_a_folder_in_shards_is_added_and_verified(work, folder, copy):
    whole = AutoModelForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    whole.save_pretrained(folder, max_shard_size="30KB")
    assert len([*folder.glob("model-*.safetensors")]) > 1
    work.add(folder, "short", copy=copy)
    assert torch.equal(logits(load(work, "short")), logits(whole))
    entry = work.library.find("backbone", "short")
    work.library.verify(entry)
    file = entry.weight_files[-1]
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(CorruptError, match=file.name):
        work.library.verify(entry)


@pytest.mark.parametrize("copy", [False, True])
def test_the_weights_are_the_files_that_the_index_names(work, folder, copy):
    whole = AutoModelForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    whole.save_pretrained(folder, max_shard_size="30KB")
    index = folder / "model.safetensors.index.json"
    stated = json.loads(index.read_bytes())
    for shard in folder.glob("model-*.safetensors"):  # as some publish theirs
        name = shard.name.replace("model-", "model.safetensors-")
        shard.rename(folder / name)
        places = stated["weight_map"]
        places.update({key: name for key, held in places.items() if held == shard.name})
    index.write_text(json.dumps(stated))
    save_file(whole.state_dict(), folder / "consolidated.safetensors")
    work.add(folder, "short", copy=copy)
    assert torch.equal(logits(load(work, "short")), logits(whole))
    entry = work.library.find("backbone", "short")
    work.library.verify(entry)
    assert entry.manifest.tensors.keys() == whole.state_dict().keys()
    assert {file.name for file in entry.weight_files} == {*stated["weight_map"].values()}
    assert not [*entry.path.glob("consolidated*")]


def test_the_fingerprint_of_a_reference_is_computed_once(work, folder, monkeypatch):
    from transplant.backbones import load as loading

    plain, calls = loading.hash_parameters, []
    monkeypatch.setattr(loading, "hash_parameters", lambda model: calls.append(1) or plain(model))
    work.add(folder, "short")
    load(work, "short")
    assert len(calls) == 1


def test_a_reference_whose_folder_is_gone_says_what_to_type_and_is_pointed_elsewhere(work, folder):
    work.add(folder, "short")
    moved = folder.rename(folder.with_name("moved"))
    with pytest.raises(NotFoundError, match=r"short is gone.*mine.*add\('FOLDER', name='short'"):
        load(work, "short")
    assert [entry.hosted for entry in work.library.entries("backbone")] == ["short"]
    work.add(moved, "short", replace=True)
    load(work, "short")


def test_a_reference_whose_folder_has_changed_is_refused_by_name(work, folder):
    work.add(folder, "short")
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"][0] += 1
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CorruptError, match=r"weights of short.*rm\('short'\).*add\("):
        load(work, "short")
    with pytest.raises(ExistsError, match="another weights|other weights"):
        work.add(folder, "short", replace=True)
    work.library.remove(work.library.find("backbone", "short"))
    work.add(folder, "short")
    load(work, "short")


def test_a_module_is_found_after_its_folder_moved_and_under_a_name(work, folder, corpus, tmp_path):
    train(work, str(folder), corpus)
    trained = logits(load(work, f"tales@{folder}"))
    moved = folder.rename(tmp_path / "moved")
    assert torch.equal(logits(load(work, f"tales@{moved}")), trained)
    assert work.add(moved, "short")["known"] == [f"tales@{folder}/d16"]
    assert torch.equal(logits(load(work, "tales@short")), trained)
    record = work.find("tales@short").manifest.backbone
    assert (record.id, work.called(record)) == (str(folder), "short")
    copied = shutil.copytree(moved, tmp_path / "copied")  # not known by its files: it is loaded
    found = work.find(f"tales@{copied}")
    with pytest.raises(ExistsError):
        train(work, "short", corpus)
    with pytest.raises(NotFoundError):
        load(work, "none@short")
    work.library.remove(found)
    with pytest.raises(NotFoundError):
        work.find("tales@short")


def test_a_module_trained_under_a_name_is_found_under_the_next(work, folder, corpus, tmp_path):
    work.add(folder, "first")
    train(work, "first", corpus)
    trained = logits(load(work, "tales@first"))
    moved = folder.rename(tmp_path / "moved")
    work.library.remove(work.library.find("backbone", "first"))
    work.add(moved, "second")
    for name in ("second", str(moved)):
        assert torch.equal(logits(load(work, f"tales@{name}")), trained)
    other = tiny_model("llama", load(work, "second").tokenizer, seed=1)
    other.save_pretrained(folder)
    load(work, "second").tokenizer.save_pretrained(folder)
    with pytest.raises(NotFoundError):  # the control: other weights
        load(work, f"tales@{folder}")


@pytest.mark.parametrize("kind", ["folder", "packed"])
def test_what_does_not_fit_into_memory_is_refused_before_it_is_read(
    work, kind, request, monkeypatch
):
    source = request.getfixturevalue(kind)
    numbers = 30_000  # the models have a little more
    monkeypatch.setattr(memory, "available_memory", lambda: 3 * numbers)
    monkeypatch.setattr(dequantise, "dequantise", lambda *_: pytest.fail("work"))
    with pytest.raises(BackboneError, match=r"(float32|F32).*does not fit into memory"):
        work.add(source, "short")
    monkeypatch.undo()
    monkeypatch.setattr(memory, "available_memory", lambda: 16 * numbers)
    work.add(source, "short")


def test_a_gguf_counts_as_it_will_be_loaded(work, packed, monkeypatch):
    """A processor without bfloat16 computes in float32, of twice the size."""
    numbers, work = 30_000, transplant.Workspace(library=work.library)
    monkeypatch.setattr(dequantise, "UNPACKED", 0)  # a large model needs less for one tensor
    monkeypatch.setattr(memory, "available_memory", lambda: 3 * numbers)
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    with monkeypatch.context() as beside:
        beside.setattr(dequantise, "dequantise", lambda *_: pytest.fail("work"))
        with pytest.raises(BackboneError, match=r"tiny\.gguf in float32 does not fit"):
            work.add(packed, "short")
    able = {"avx512_bf16": True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    assert work.add(packed, "short")["added"]["dtype"] == "bfloat16"


def test_the_dtype_counts_for_memory(folder, monkeypatch):
    held = sum(t.numel() for t in load_file(folder / "model.safetensors").values())
    half = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float16)
    half.save_pretrained(folder)
    monkeypatch.setattr(memory, "available_memory", lambda: 3 * held)
    transplant.load_backbone(folder, dtype="float16")
    with pytest.raises(BackboneError, match="float32.*does not fit"):
        transplant.load_backbone(folder, dtype="float32")


@pytest.mark.parametrize("name", ["", "a/b", ".hidden", "two words", "x" * 200, "../up", "a@b"])
def test_a_malformed_name_is_refused(work, folder, packed, name):
    for source in (folder, packed):
        with pytest.raises(InputError):
            work.add(source, name)


def test_a_taken_name_is_refused_before_the_work(work, folder, packed, monkeypatch):
    work.add(folder, "short")
    loads = "transplant.backbones.load.load_backbone"
    monkeypatch.setattr(loads, lambda *_, **__: pytest.fail("work"))
    for source, options in ((folder, {}), (packed, {}), (folder, {"copy": True})):
        with pytest.raises(ExistsError, match=r"short is already in the registry.*rm\('short'\)"):
            work.add(source, "short", **options)
    with pytest.raises(InputError, match="`replace`"):
        work.add(packed, "short", replace=True)


def test_a_source_that_is_in_the_registry_is_refused(work, folder):
    work.add(folder, "short", copy=True)
    for source in ("short", work.library.root / "short"):
        with pytest.raises(InputError, match="registry"):
            work.add(source, "again")
    with pytest.raises(ExistsError, match="files of its own"):
        work.add(folder, "short", replace=True)


@pytest.mark.parametrize("source", ["./nowhere", "/no/such", "a/b/c"])
def test_a_source_that_is_not_there_is_refused(work, source):
    with pytest.raises(BackboneError, match="no such folder or file"):
        work.add(source, "short")


def test_a_folder_without_a_model_is_refused_and_leaves_nothing(work, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(BackboneError, match=r"no config\.json"):
        work.add(tmp_path / "empty", "short")
    assert work.library.entries() == []
