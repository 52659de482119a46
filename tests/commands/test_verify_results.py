"""verify results: a recorded move is reproduced, and a changed one is not."""

from __future__ import annotations

import dataclasses
import json
import shutil

import pytest

from registry.store import REFERENCE, Registry
from tests.commands.conftest import Abi

NUMBERS = {"ppl.raw", "ppl.native", "ppl.candidate", "ppl.random_module", "recovered.candidate"}


@pytest.fixture(scope="module")
def moved(trained_abi, tmp_path_factory):
    """A registry of its own with a move from tiny-gpt2 to tiny-llama, and the move's JSON."""
    root = tmp_path_factory.mktemp("moved") / "registry"
    shutil.copytree(trained_abi.root, root)
    abi = Abi(root, trained_abi.corpus)
    words = ("--module", "tales@tiny-gpt2", "--to", "tiny-llama", "--data", abi.corpus)
    ran = abi("transfer", *words, "--excerpts", "60", "--name", "moved", "--json")
    assert ran.code == 0, ran.err
    return abi, ran.json


@pytest.fixture
def verify(moved, tmp_path):
    """Runs `abi verify` on a copy of the registry; the move's JSON is changed by `changes`."""
    root = tmp_path / "registry"
    shutil.copytree(moved[0].root, root)
    abi = Abi(root, moved[0].corpus)

    def run(*more, **changes):
        record = tmp_path / "record.json"
        record.write_text(json.dumps({**moved[1], **changes}))
        return abi("verify", "results", "--record", str(record), "--json", *more)

    return abi, run


def rewrite(root, kind, change, **facts):
    """Stores an artifact of the moved module again, with its tensors changed in place."""
    library = Registry.open(root)
    entry = library.find(kind, "moved", "tiny-llama")
    tensors = library.read(entry)
    change(tensors)
    manifest = dataclasses.replace(entry.manifest, **facts)
    return library.write(manifest, tensors, replace=True).manifest.sha256


def test_a_recorded_move_is_reproduced_number_by_number(verify):
    _, run = verify
    ran = run()
    assert ran.code == 0, ran.out
    assert ran.json["verdict"] == "reproduced"
    (move,) = ran.json["moves"]
    assert {number["name"] for number in move["numbers"]} >= NUMBERS
    for number in move["numbers"]:
        assert number["recomputed"] == pytest.approx(number["recorded"], rel=1e-5)
    assert move["control"]["differs"]
    assert {"linear_surrogate", "shuffled_pairs"} <= set(move["not_recomputed"])


def test_a_recorded_number_that_was_changed_is_found(verify, moved):
    _, run = verify
    ppl = {**moved[1]["ppl"], "candidate": moved[1]["ppl"]["candidate"] * 1.001}
    ran = run(ppl=ppl)
    assert (ran.code, ran.json["verdict"]) == (3, "mismatch")
    wrong = [n["name"] for n in ran.json["moves"][0]["numbers"] if not n["agrees"]]
    assert wrong == ["ppl.candidate"]


def test_one_changed_weight_of_the_module_is_found_by_its_bytes(verify):
    abi, run = verify

    def nudge(tensors):
        next(iter(tensors.values())).view(-1)[0] += 1e-6

    sha256 = rewrite(abi.root, "module", nudge)
    rewrite(abi.root, "interface", lambda _: None, parents={"module_here": sha256})
    ran = run()
    assert (ran.code, ran.json["verdict"]) == (3, "mismatch")
    hashes = ran.json["moves"][0]["module_sha256"]
    assert hashes["found"]["target"] == sha256 != hashes["recorded"]["target"]
    assert hashes["found"]["donor"] == hashes["recorded"]["donor"]


def test_an_interface_of_the_other_sign_is_found_by_its_numbers(verify):
    abi, run = verify
    rewrite(abi.root, "interface", lambda tensors: tensors["proj_out.weight"].neg_())
    ran = run()
    assert ran.code == 3
    move = ran.json["moves"][0]
    assert move["module_sha256"]["agrees"]
    wrong = {number["name"] for number in move["numbers"] if not number["agrees"]}
    assert {"ppl.candidate", "recovered.candidate"} <= wrong
    assert not {"ppl.raw", "ppl.native"} & wrong


def test_other_text_is_no_proof_unless_that_is_accepted(verify, moved):
    _, run = verify
    ran = run(split="0" * 64)
    assert (ran.code, ran.json["verdict"]) == (3, "other text")
    assert "can only be near" in ran.err
    ran = run("--allow-other-text", split="0" * 64)
    assert (ran.code, ran.json["verdict"]) == (0, "other text")
    ppl = {**moved[1]["ppl"], "candidate": moved[1]["ppl"]["candidate"] * 1.5}
    assert run("--allow-other-text", split="0" * 64, ppl=ppl).code == 3


def test_what_holds_no_move_is_refused(verify, tmp_path):
    abi, run = verify
    assert run(ppl={}).json["error"] == "InputError"
    (tmp_path / "empty.json").write_text("[]")
    for path in ("empty.json", "nowhere.json"):
        ran = abi("verify", "--record", str(tmp_path / path), "--json")
        assert (ran.code, ran.json["error"]) == (1, "InputError")
    assert abi("verify", "weather").code == 1
    assert abi("verify", "paste", "--from", "2M").code == 1


def test_what_ships_is_what_its_record_says_and_leaves_the_plain_names_free():
    record = json.loads((REFERENCE / "headline.json").read_text())
    shipped = Registry(REFERENCE)
    assert shipped.problems() == []
    for move in record["moves"]:
        for side, name in (("donor", move["donor"]), ("target", move["name"])):
            named = shipped.split_name(name)
            module, backbone, d_abi = named.module, named.backbone, named.d_abi
            entry = shipped.find("module", module, backbone, d_abi)
            shipped.verify(entry)
            shipped.verify(shipped.find("interface", module, backbone, d_abi))
            assert entry.manifest.sha256 == move["module_sha256"][side]
            assert entry.manifest.name != entry.manifest.domain
