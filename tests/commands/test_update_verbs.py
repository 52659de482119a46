"""invariance and succession on real text and tiny backbones."""

from __future__ import annotations

import pytest

from tests.commands.conftest import TINY
from tests.conftest import write_document
from tests.tiny_registry import put_corpus
from transplant.evaluation.invariance import efficacy

UPDATE = (
    "--steps", "6", "--batch", "2", "--window", "32", "--learning-rate", "0.002",
    "--repair-tokens", "1500", "--eval-tokens", "800",
)  # fmt: skip


@pytest.fixture(scope="module")
def other_text(tmp_path_factory) -> str:
    texts = tuple(write_document(seed) for seed in range(1000, 1060))
    return put_corpus(tmp_path_factory.mktemp("corpus") / "other", texts)


@pytest.fixture(scope="module")
def report(trained_abi, other_text):
    ran = trained_abi(
        "invariance", "--module", "tales@tiny-gpt2", "--update-data", other_text, *UPDATE,
        "--seeds", "2", "--stability", "1.0", "--json",
    )  # fmt: skip
    assert ran.code == (0 if ran.json["efficacy"] >= 0.5 else 3), ran.err
    return ran.json


def test_invariance_json_holds_every_number_the_design_names(report):
    systems = {"raw", "with_module", "raw_updated", "zero_shot", "native_updated", "repaired"}
    assert systems | {"random_module", "random_repaired", "native_same_tokens"} == set(
        report["ppl"]
    )
    for one in report["each"]:
        ppl, found = one["ppl"], one["efficacy"]["zero_shot"]
        by_hand = efficacy(ppl["raw_updated"], ppl["zero_shot"], ppl["native_updated"])
        assert found["efficacy"] == pytest.approx(by_hand)
        old = (ppl["raw_updated"] - ppl["zero_shot"]) / (ppl["raw_updated"] - ppl["with_module"])
        assert found["efficacy_published"] == pytest.approx(old)
        assert one["update_ppl"]["after"] != one["update_ppl"]["before"]
        assert one["z_off"]["repaired"] < one["z_off"]["before"]
    each = [one["efficacy"]["zero_shot"]["efficacy"] for one in report["each"]]
    assert report["efficacy"] == pytest.approx(sum(each) / 2)
    low, high = report["interval"]["efficacy"]
    assert low <= report["efficacy"] <= high
    assert {"update_per_step", "native_per_step", "repair"} <= report["seconds"].keys()


def test_the_update_alone_changes_the_backbone_and_nothing_the_module(report):
    assert report["module_sha256"]["before"] == report["module_sha256"]["after"]
    hashes = [one["backbone_sha256"] for one in report["each"]]
    for found in hashes:
        assert found["before"] == found["original_after"] != found["after"]
    assert hashes[0]["after"] != hashes[1]["after"]  # another seed, another update


def test_invariance_fails_where_the_update_ruins_the_backbone(trained_abi, other_text):
    ran = trained_abi(
        "invariance", "--module", "tales@tiny-gpt2", "--update-data", other_text, *UPDATE,
        "--steps", "30", "--learning-rate", "0.5",
    )  # fmt: skip
    assert ran.code == 3
    assert "fail" in ran.out
    assert "zero_shot" in ran.out


def test_rounding_reads_no_text_and_leaves_the_module_at_work(trained_abi, other_text):
    ran = trained_abi(
        "invariance", "--module", "tales@tiny-gpt2", "--update-data", other_text, *UPDATE,
        "--kind", "int8", "--json",
    )  # fmt: skip
    assert ran.json["update"]["tokens"] <= 64
    assert ran.json["ppl"]["zero_shot"] == pytest.approx(ran.json["ppl"]["with_module"], rel=0.05)


def test_what_is_no_update_is_refused(trained_abi, other_text):
    def refused(*words):
        ran = trained_abi("invariance", *words, *UPDATE, "--json")
        assert ran.code == 1
        return ran.json["what"]

    of_module = ("--module", "tales@tiny-gpt2")
    assert "is the domain" in refused(*of_module, "--update-data", trained_abi.corpus)
    assert "raw backbone" in refused("--module", "tiny-gpt2", "--update-data", other_text)
    assert "--kind" in refused(*of_module, "--update-data", other_text, "--kind", "prune")


def test_succession_keeps_two_modules_apart_and_counts_what_they_do(abi, other_text, tmp_path):
    fables = put_corpus(tmp_path / "fables", tuple(write_document(n) for n in range(2000, 2060)))
    assert abi.train("tiny-gpt2").code == 0
    words = ("--backbone", "tiny-gpt2", "--domain", "fables", "--data", fables, "--json")
    assert abi("train", *words, *TINY).code == 0
    ran = abi(
        "succession", "--module", "tales@tiny-gpt2", "--module", "fables@tiny-gpt2",
        "--update-data", other_text, "--general", other_text, "--rounds", "2", *UPDATE, "--json",
    )  # fmt: skip
    assert ran.code in (0, 3), ran.err
    found = ran.json
    assert [row["round"] for row in found["rounds"]] == [1, 2]
    assert len(set(found["backbone_sha256"])) == 3
    names = {"tales@tiny-gpt2", "fables@tiny-gpt2"}
    for row in found["rounds"]:
        assert set(row["efficacy"]) == names
        matrix = row["matrix"]["zero_shot"]
        assert set(matrix["ppl"]) == {"none", "all", *names}
        assert all(set(columns) == {"general", *names} for columns in matrix["ppl"].values())
        for name in names:
            before = matrix["ppl"]["none"]["general"]
            percent = 100 * (matrix["ppl"][name]["general"] / before - 1)
            assert matrix["general_worsens"][name] == pytest.approx(percent)
            assert row["ppl"][name]["zero_shot"] == pytest.approx(matrix["ppl"][name][name])
        assert row["matrix_gated"]["zero_shot"]["ppl"]["none"] == matrix["ppl"]["none"]
        for name in names:
            gate = row["gate"]["zero_shot"][name]
            assert gate["general_worsens_ungated"] == matrix["general_worsens"][name]
            assert gate["general_worsens"] <= max(gate["general_worsens_ungated"], 0) + 1.0
    assert {fact["from"] for fact in found["gates"].values()} == {"fitted"}
    assert all(len(set(hashes.values())) == 1 for hashes in found["module_sha256"].values())
    assert found["pass"] == (ran.code == 0)
