"""train, bridge-align, calibrate, transfer and nib on real text and tiny backbones."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

import transplant
from registry.store import Registry
from transplant.calibration.changes.spec import CHANGES
from transplant.files.result_kinds import kind_of
from transplant.tables.ceiling import losses_line

MOVE = ("--module", "tales@tiny-gpt2", "--excerpts", "60")


@pytest.fixture(scope="module")
def moved(trained_abi):
    ran = trained_abi(
        "transfer", *MOVE, "--to", "tiny-llama", "--data", trained_abi.corpus, "--ceiling", "--json"
    )
    assert ran.code == 0, ran.err
    return ran.json


def test_train_reports_held_out_perplexity_and_stores_both_halves(trained_abi):
    listed = trained_abi.rows("--backbone", "tiny-gpt2")
    kinds = [(row["kind"], row["with"]) for row in listed if row["name"] == "tales"]
    assert kinds == [("module", ["interface"])]
    assert all({"name", "kind", "backbone", "d_abi", "path"} <= row.keys() for row in listed)
    shown = trained_abi("show", "tales@tiny-gpt2", "--json", "--verify").json
    assert shown["verified"]
    assert shown["results"]["ppl"]["native"] < shown["results"]["ppl"]["raw"]
    assert shown["made"]["options"]["backbone"] == "tiny-gpt2"


def test_transfer_json_holds_every_number_the_design_names(moved):
    controls = {"random_module", "shuffled_pairs", "linear_surrogate", "random_refitted"}
    assert {"raw", "native", "candidate", *controls} <= moved["ppl"].keys()
    assert {"candidate", "native", *controls} <= moved["recovered"].keys()
    assert moved["recovered"]["native"] == pytest.approx(1.0)
    assert {"top5", "top1", "js", "entropy", "pass", "interval"} <= moved["nib"].keys() or (
        moved["nib"]["pass"] is None and "too few" in moved["nib"]["why"]
    )
    for share, best in (("donor", "best_donor_free"), ("module", "best_module_free")):
        control = moved["recovered"].get(moved[best], 0.0)
        expected = moved["recovered"]["candidate"] - control
        assert moved[f"{share}_attributable"] == pytest.approx(expected)
    assert moved["module_sha256"]["donor"] == moved["module_sha256"]["target"]
    assert moved["difference"].keys() == moved["ppl"].keys() - {"candidate"}
    for name, nats in moved["difference"].items():
        ratio = moved["ppl"][name] / moved["ppl"]["candidate"]
        assert nats["nats"] == pytest.approx(math.log(ratio), abs=1e-9)
        low, high = nats["interval"]
        assert low <= nats["nats"] <= high
    assert moved["seconds"]["pair"] > 0
    assert (moved["donor"], moved["target"], moved["seed"]) == ("tales@tiny-gpt2", "tiny-llama", 0)


def test_the_moved_module_is_bit_identical_and_usable(trained_abi, moved):
    library = Registry.open(trained_abi.root)
    hosted = transplant.load(moved["name"], library=library)
    donor = transplant.load("tales@tiny-gpt2", library=library)
    for name, tensor in donor.correction.module.state_dict().items():
        assert torch.equal(tensor, hosted.correction.module.state_dict()[name])
    ids = hosted.tokenizer("The ba cor", return_tensors="pt").input_ids
    raw = transplant.load("tiny-llama", library=library)
    assert not torch.allclose(hosted(input_ids=ids).logits, raw(input_ids=ids).logits)
    assert hosted.generate(ids, max_new_tokens=3).shape[1] == ids.shape[1] + 3


def test_nib_of_a_model_against_itself_passes(trained_abi, moved):
    ran = trained_abi(
        "nib", "--anchor", moved["name"], "--candidate", moved["name"], "--json",
        "--chunk-length", "40", "--chunks", "3", "--skip", "4", "--extended",
    )  # fmt: skip
    assert ran.code == 0
    assert ran.json["verdict"] == "pass"
    assert (kind_of(ran.json), kind_of(moved)) == ("nib", "move")
    assert (ran.json["top5"], ran.json["js"]) == (1.0, pytest.approx(0.0, abs=1e-6))
    assert len(ran.json["seeds"]) == 5


def test_power_says_what_the_chunks_can_tell(trained_abi):
    ran = trained_abi(
        "nib", "--anchor", "tiny-gpt2", "--candidate", "tales@tiny-gpt2", "--json", "--power",
        "--chunk-length", "40", "--chunks", "3", "--skip", "4", "--margin", "0.02",
    )  # fmt: skip
    power = ran.json["power"]
    assert power["measured"] > power["chunks"] == 3
    assert (
        power["criteria"].keys() == power["per_chunk"].keys() == {"top5", "top1", "js", "entropy"}
    )
    top5, values = power["criteria"]["top5"], power["per_chunk"]["top5"]
    assert len(values) == power["measured"]
    assert sum(values[:3]) / 3 == pytest.approx(
        ran.json["top5"]
    )  # the protocol's chunks come first
    assert top5["standard_error"] == pytest.approx(top5["sd"] / 3**0.5)
    assert top5["chunks_for_power"] > top5["chunks_for_interval"] > 3


def test_nib_that_does_not_pass_prints_and_exits_3(trained_abi, moved):
    hosted = Registry.open(trained_abi.root)
    module = hosted.find("interface", "tales", "tiny-llama").manifest
    assert module.name == "tales"  # the native, trained by transfer
    ran = trained_abi(
        "nib", "--anchor", "tiny-gpt2", "--candidate", "tales@tiny-gpt2", "--json",
        "--data", trained_abi.corpus, "--chunk-length", "40", "--skip", "4",
    )  # fmt: skip
    assert ran.code == (0 if ran.json["pass"] else 3)
    different = trained_abi(
        "nib", "--anchor", "tales@tiny-gpt2", "--candidate", moved["name"], "--json"
    )
    assert different.code == 1
    assert "different backbones" in different.json["what"]


def test_the_ceiling_of_a_move_stands_beside_it_and_in_its_evidence(trained_abi, moved):
    found = moved["ceiling"]
    assert found["change"]["donor_word"] == 0
    assert found["change"]["ppl"] < moved["ppl"]["raw"]
    assert found["change_and_raw"]["ppl"] > 1
    assert 0 < found["paired_share"] <= 1
    lost = found["vocabulary_loses"] + found["alignment_loses"]
    assert lost == pytest.approx(1 - found["candidate"]["recovered"])
    stored = trained_abi("show", moved["name"], "--json").json["results"]["ceiling"]
    assert stored == found
    line = losses_line(found)
    assert f"{found['alignment_loses']:.3f} in alignment" in line


def test_calibrate_takes_the_bridge_that_bridge_align_left(trained_abi):
    common = (*MOVE, "--to", "tiny-t5", "--data", trained_abi.corpus, "--json")
    bridge = trained_abi("bridge-align", *common).json
    assert bridge["cosine_after"] > bridge["cosine_before"]
    assert bridge["pairs"] > 100
    calibrated = trained_abi("calibrate", *common).json
    assert calibrated["bridge"] == "from the registry"
    assert calibrated["module_sha256"]["donor"] == calibrated["module_sha256"]["target"]
    again = trained_abi("calibrate", *common, "--replace", "--taps", "last").json
    assert again["bridge"] == "fitted now"  # other options, another bridge
    shown = trained_abi("calibrate", *common[:-1], "--replace", "--explain").out
    for way in calibrated["tried"]:
        assert f"{way['loss']:.4f}" in shown
    assert shown.count("chosen") == 1
    every = trained_abi("calibrate", *common, "--replace", "--change", "auto").json
    assert every["bridge"] == "from the registry"  # which depends on nothing of the output
    ways = {(way["change"], way["donor_word"]) for way in every["tried"]}
    assert ways == {*itertools.product(CHANGES, (0.0, 0.3))}
    made = trained_abi("show", every["name"], "--json").json["made"]
    assert made["change"] == min(every["tried"], key=lambda way: way["loss"])["change"]
    assert made["longer"] == "first"
    longer = trained_abi("calibrate", *common, "--replace", "--longer", "auto").json
    assert longer["bridge"] == "from the registry"
    ways = {(way["longer"], way["donor_word"]) for way in longer["tried"]}
    assert ways == {*itertools.product(("first", "product"), (0.0, 0.3))}
    made = trained_abi("show", longer["name"], "--json").json["made"]
    assert made["longer"] == min(longer["tried"], key=lambda way: way["loss"])["longer"]
    wrong = trained_abi("calibrate", *common, "--replace", "--change", "push")
    assert wrong.code == 1
    assert wrong.json["what"] == "unknown --change"


def test_a_donor_writes_what_it_is_paired_on(trained_abi, tmp_path):
    words = (*MOVE, "--to", "tiny-llama", "--data", "donor", "--name", "from-own-text", "--json")
    ran = trained_abi("bridge-align", *words)
    assert ran.code == 0, ran.out + ran.err
    calibrated = trained_abi("calibrate", *words).json
    assert calibrated["bridge"] == "from the registry"  # the same seed has written the same
    made = trained_abi("show", calibrated["name"], "--json").json["made"]
    assert made["pairing_corpus"] == "donor"
    words = ("--taps", "last", "--out", str(tmp_path / "acts.h5"), "--json")
    elsewhere = trained_abi("capture", "--backbone", "tiny-gpt2", "--data", "donor", *words)
    assert elsewhere.code == 1
    assert "--pair-data donor" in elsewhere.json["hint"]


def test_a_share_of_what_the_donor_wrote_is_kept_and_said_to_be_synthetic(trained_abi):
    words = ("calibrate", *MOVE, "--to", "tiny-llama", "--data", "donor", "--keep", "0.5",
             "--guidance", "1.5", "--text-free", "--objective", "lm+donor-kd", "--steps", "2",
             "--tokens", "2000", "--name", "from-the-best")  # fmt: skip
    report = trained_abi(*words, "--json").json
    text = report["pairing_text"]
    assert (text["synthetic"], text["text_free"]) == (True, True)
    assert text["written"] == 2 * text["kept"]
    assert text["donor_gain"] > text["donor_gain_of_all"]
    made = trained_abi("show", report["name"], "--json").json["made"]
    assert made["pairing_text"] == text
    assert (made["config"]["keep"], made["config"]["guidance"]) == (0.5, 1.5)
    shown = trained_abi(*words, "--replace").out
    assert "synthetic" in shown
    assert "with guidance 1.5" in " ".join(shown.split())
    for wrong in (("--keep", "0.5"), ("--guidance", "1.5"), ("--text-free",)):
        refused = trained_abi(
            "calibrate", *MOVE, "--to", "tiny-llama", "--data", "nowhere", *wrong, "--json"
        )
        assert refused.code == 1
        assert (wrong[0], "--data") == (refused.json["what"].split()[0], "--data")
        assert refused.json["found"] == "nowhere"
    assert trained_abi(*words, "--keep", "0").code == 1
    refused = trained_abi(*words, "--guidance", "0", "--json").json
    assert ("--guidance" in refused["what"], refused["found"]) == (True, "0.0")


def test_how_much_of_a_change_is_general_is_printed_and_can_be_taken_away(trained_abi):
    words = ("calibrate", *MOVE, "--to", "tiny-llama", "--data", trained_abi.corpus)
    itself = ("--general", "tales@tiny-gpt2")
    ran = trained_abi(*words, *itself, "--name", "compared", "--json")
    assert ran.code == 0, ran.out
    found = ran.json["general"]
    assert found["variance"] == pytest.approx(1.0)
    assert found["nats"] == pytest.approx(1.0)
    shown = trained_abi(*words, *itself, "--less-general", "1", "--name", "less").out
    assert "1 of it taken away" in " ".join(shown.split())
    made = trained_abi("show", "less@tiny-llama", "--json").json["made"]
    assert (made["general"], made["config"]["less_general"]) == ("tales@tiny-gpt2", 1.0)
    assert made["gain"] == 0  # nothing is left to be wanted
    alone = trained_abi(*words, "--less-general", "1", "--name", "none", "--json")
    assert (alone.code, alone.json["what"]) == (1, "--less-general")
    other = trained_abi(*words, "--general", "tiny-gpt2", "--name", "none", "--json")
    assert "raw backbone" in other.json["what"]


def test_a_budget_of_columns_is_an_option_and_stands_in_the_manifest(trained_abi):
    options = (*MOVE, "--to", "tiny-llama", "--data", trained_abi.corpus, "--json")
    narrow = trained_abi("bridge-align", *options, "--columns", "12", "--name", "narrow").json
    whole = trained_abi("bridge-align", *options, "--name", "whole").json
    assert narrow["r2"] < whole["r2"]
    stored = Registry.open(trained_abi.root).find("bridge", "narrow", "tiny-llama").manifest
    assert stored.made["config"]["columns"] == 12
    refused = trained_abi("bridge-align", *options, "--columns", "1", "--name", "none")
    assert refused.code == 1
    assert "less than one for each tap" in refused.json["what"]
    assert "--columns" in refused.json["what"]


def test_the_length_of_excerpts_and_the_stride_are_options_and_stand_in_the_manifest(trained_abi):
    options = (*MOVE, "--to", "tiny-llama", "--data", trained_abi.corpus, "--json")
    words = ("--excerpt-chars", "90", "--stride", "1", "--name", "dense")
    dense = trained_abi("bridge-align", *options, *words).json
    thin = trained_abi("bridge-align", *options, *words[:2], "--stride", "4", "--name", "thin").json
    assert dense["pairs"] > 2 * thin["pairs"]
    stored = Registry.open(trained_abi.root).find("bridge", "dense", "tiny-llama").manifest
    assert (stored.made["config"]["excerpt_chars"], stored.made["config"]["stride"]) == (90, 1)


def test_procrustes_rotates_into_the_interface(trained_abi):
    ran = trained_abi(
        "bridge-align", *MOVE, "--to", "tiny-llama", "--data", trained_abi.corpus, "--json",
        "--method", "procrustes", "--name", "rotated",
    )  # fmt: skip
    assert ran.json["cosine_after"] > ran.json["cosine_before"]
    assert kind_of(ran.json) == "alignment"


def test_a_taken_name_is_refused_before_the_work(trained_abi, moved):
    again = trained_abi(
        "transfer", *MOVE, "--to", "tiny-llama", "--data", trained_abi.corpus, "--ceiling", "--json"
    )
    assert again.code == 1
    assert again.json["error"] == "ExistsError"
    assert "--replace" in again.json["hint"]
    assert moved["name"].split("@")[0] in again.json["what"]
