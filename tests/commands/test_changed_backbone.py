"""A backbone is its weights, its configuration and its tokenizer, wherever an artifact meets it."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.commands.conftest import Abi
from tests.surgery.lora.folders import write_folder
from tests.tiny_registry import put_backbones
from transplant.loading.same import UNRECORDED

CHANGES = {
    "configuration": ("config.json", lambda held: held.update(activation_function="relu")),
    "tokenizer": ("tokenizer.json", lambda held: swap(held["model"]["vocab"], 300, 301)),
}


def swap(vocabulary, one, other):
    names = {number: name for name, number in vocabulary.items()}
    vocabulary[names[one]], vocabulary[names[other]] = other, one


def edit(file, change):
    held = json.loads(file.read_text())
    change(held)
    file.write_text(json.dumps(held))


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_texts, corpus):
    """A registry with artifacts of a backbone that stands in a folder of its own."""
    place = tmp_path_factory.mktemp("changed")
    put_backbones(place / "registry", tiny_texts)
    folder = shutil.copytree(place / "registry" / "tiny-gpt2", place / "mine")
    (folder / "manifest.json").unlink()
    abi = Abi(place / "registry", corpus)
    for words in (
        ("capture", "--backbone", f"{folder}", "--data", corpus, "--out", f"{place / 'acts.h5'}",
         "--taps", "all", "--window", "64"),
        ("adapters", "--import", f"{write_folder(place / 'law')}", "--to", f"{folder}"),
    ):  # fmt: skip
        assert abi(*words, "--json").code == 0
    assert abi.train(str(folder)).code == 0
    assert abi.train("tiny-gpt2").code == 0
    return abi, folder, place


@pytest.fixture(params=CHANGES)
def changed(made, request):
    """The same with another configuration or tokenizer under them, put back after the test."""
    abi, folder, place = made
    name, change = CHANGES[request.param]
    before = [
        (path / name, (path / name).read_bytes()) for path in (folder, abi.root / "tiny-gpt2")
    ]
    for file, _ in before:
        edit(file, change)
    yield request.param, abi, folder, place
    for file, held in before:
        file.write_bytes(held)


def test_unchanged_they_work(made):
    abi, folder, place = made
    nib = ("nib", "--chunk-length", "40", "--skip", "4", "--json")
    for name in (f"tales@{folder}", f"law@{folder}"):
        ran = abi(*nib, "--anchor", f"{folder}", "--candidate", name, "--data", abi.corpus)
        assert ran.code in (0, 3), ran.err
    ran = abi("capture", "--verify", f"{place / 'acts.h5'}", "--json")
    assert ran.json["identical"], ran.err


@pytest.mark.parametrize(
    "words",
    [
        ("nib", "--anchor", "FOLDER", "--candidate", "tales@FOLDER", "--data", "CORPUS"),
        ("nib", "--anchor", "FOLDER", "--candidate", "law@FOLDER", "--data", "CORPUS"),
        ("transfer", "--module", "tales@FOLDER", "--to", "tiny-llama", "--data", "CORPUS"),
        ("calibrate", "--module", "tales@FOLDER", "--to", "tiny-llama", "--data", "CORPUS"),
        ("gate", "--module", "tales@FOLDER"),
        ("train", "--backbone", "FOLDER", "--domain", "x", "--from-activations", "ACTS"),
        ("capture", "--verify", "ACTS"),
        ("nib", "--anchor", "tiny-gpt2", "--candidate", "tales@tiny-gpt2"),
        ("transfer", "--module", "tales@tiny-gpt2", "--to", "tiny-llama", "--data", "CORPUS"),
        ("transfer", "--module", "tales@FOLDER", "--to", "tiny-gpt2", "--data", "CORPUS"),
        ("train", "--backbone", "tiny-gpt2", "--domain", "y", "--data", "CORPUS"),
        ("extract", "--backbone", "tiny-gpt2", "--name", "parts"),
        ("advise", "--from", "tiny-gpt2", "--to", "tiny-llama"),
    ],
)
def test_changed_underneath_every_verb_refuses_them(changed, words):
    what, abi, folder, place = changed
    named = {"FOLDER": str(folder), "CORPUS": abi.corpus, "ACTS": str(place / "acts.h5")}
    for key, value in named.items():
        words = [word.replace(key, value) for word in words]
    ran = abi(*words, "--json")
    assert ran.code == 1, ran.out
    assert ran.json["error"] in ("CorruptError", "InputError")
    assert what in ran.json["what"] or CHANGES[what][0] in ran.json["what"]


def test_a_manifest_of_before_is_read_with_a_note(made):
    abi, _, _ = made
    file = abi.root / "tiny-gpt2" / "manifest.json"
    before = file.read_bytes()
    nib = ("nib", "--anchor", "tiny-gpt2", "--candidate", "tales@tiny-gpt2", "--json",
           "--chunk-length", "40", "--skip", "4")  # fmt: skip
    assert UNRECORDED.split(":")[0] not in abi(*nib).err

    def forget(held):
        del held["backbone"]["config_sha256"]
        held.pop("manifest_sha256", None)

    edit(file, forget)
    ran = abi(*nib)
    file.write_bytes(before)
    assert ran.code in (0, 3)
    assert " ".join(ran.err.split()).count(UNRECORDED.split(":")[0]) == 1  # of two that are loaded
