"""abi trace: a ranking, a heat map, and what it refuses."""

from __future__ import annotations

import json
import re

import pytest

from transplant.files.result_kinds import kind_of

FEW = ("--documents", "4", "--window", "24")


def run(abi, *words: str):
    return abi("trace", "--model", *words, "--json")


@pytest.fixture(scope="module")
def traced(trained_abi, tmp_path_factory):
    out = tmp_path_factory.mktemp("traced") / "trace"
    ran = run(trained_abi, "tales@tiny-gpt2", *FEW, "--out", str(out))
    assert ran.code == 0, ran.err
    return ran.json, out


def test_a_ranking_of_a_hosted_module_has_every_target_and_its_interval(traced):
    found, _ = traced
    effects = [row["effect"] for row in found["targets"]]
    assert len(effects) == found["blocks"] * (found["heads"] + 1)
    assert effects == sorted(effects, reverse=True)
    assert found["sign"].startswith("positive: the model does worse")
    assert (found["documents"], found["backbone"]) == (4, "tiny-gpt2")
    for row in found["targets"]:
        low, high = row["interval"]
        assert low <= row["effect"] <= high
        assert row["measured"]


def test_the_folder_has_the_numbers_a_picture_and_a_page_that_asks_for_nothing(traced):
    found, out = traced
    written = json.loads((out / "trace.json").read_text())
    assert written["targets"] == found["targets"]
    assert kind_of(written) == kind_of(found) == "trace"
    assert (out / "trace.png").read_bytes().startswith(b"\x89PNG")
    page = (out / "trace.html").read_text()
    assert not re.search(r"https?://|<script|<link|url\(", page)
    for row in found["targets"]:
        assert f'title="{row["target"]} {row["effect"]:+.4f}' in page


def test_the_table_says_what_its_sign_means_and_fits(trained_abi, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    ran = trained_abi("trace", "--model", "tiny-llama", "--data", trained_abi.corpus, *FEW)
    assert ran.code == 0, ran.err
    assert "positive: the model does worse without" in ran.out
    assert "head:1.3" in ran.out
    table, notes = ran.out.split("positive:")
    assert max(map(len, table.splitlines())) <= 80
    assert "predicted tokens, 12 passes" in " ".join(notes.split())


def test_a_prefilter_says_how_well_it_agreed(trained_abi):
    words = ("tiny-llama", "--data", trained_abi.corpus, *FEW, "--prefilter", "atp")
    ran = run(trained_abi, *words, "--keep", "1", "--sample", "8")
    assert ran.code == 0, ran.err
    found = ran.json
    assert 8 <= found["prefilter"]["measured"] <= 9
    assert -1 <= found["prefilter"]["agreement"] <= 1
    guessed = [row for row in found["targets"] if not row["measured"]]
    assert len(guessed) == len(found["targets"]) - found["prefilter"]["measured"]
    assert all(row["effect"] == row["estimate"] and row["interval"] is None for row in guessed)


def test_pairs_are_patched_both_ways(trained_abi, tmp_path):
    path = tmp_path / "pairs.jsonl"
    rows = [
        {"clean": "The ba of the cor", "corrupted": "The ti of the cor"},
        {"clean": "a mi and", "corrupted": "a ru and", "answer": " the", "foil": " a"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ran = run(trained_abi, "tiny-llama", "--pairs", str(path), "--targets", "head:*,layer:1.resid",
              "--out", str(tmp_path / "out"))  # fmt: skip
    assert ran.code == 0, ran.err
    found = ran.json
    whole = next(row for row in found["targets"] if row["target"] == "layer:1.resid")
    assert whole["noising"] == pytest.approx(found["total"], abs=1e-4)
    assert whole["denoising"] == pytest.approx(found["total"], abs=1e-4)
    assert (found["metric"], found["mode"]) == ("logit-diff", "patching")
    assert (tmp_path / "out" / "trace.png").is_file()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("", "no pair"),
        ("{", "line 1"),
        ('{"clean": "a b"}', "`clean` and `corrupted`"),
        ('{"clean": "a b", "corrupted": "a b"}', "two texts that differ"),
        ('{"clean": "a b", "corrupted": "a b c d e"}', "differ in length"),
        ('{"clean": "a mi and", "corrupted": "a ru and", "answer": " x"}', "maybe `answer`"),
    ],
)
def test_a_line_that_is_no_pair_is_refused_by_its_number(lines, said, trained_abi, tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text(lines)
    ran = run(trained_abi, "tiny-llama", "--pairs", str(path))
    assert ran.code == 1
    assert said in json.dumps(ran.json)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--targets", "head:9.0"), "--targets: expected a block from 0 to 1"),
        (("--targets", "mind"), "head:3.2"),
        (("--intervention", "lesion"), "mean, zero, noise, resample"),
        (("--metric", "bleu"), "nll, kl, logit-diff"),
        (("--prefilter", "guess"), "expected atp"),
        (("--pairs", "p.jsonl", "--data", "prose"), "exclude each other"),
        (("--pairs", "p.jsonl", "--prefilter", "atp"), "exclude each other"),
        (("--pairs", "p.jsonl", "--intervention", "zero"), "--intervention exclude each other"),
        (("--pairs", "p.jsonl", "--window", "12"), "--window exclude each other"),
        (("--keep", "3"), "--prefilter atp beside"),
        (("--pairs", "nowhere.jsonl"), "nowhere.jsonl"),
        (("--noise", "0"), "noise"),
    ],
)
def test_what_cannot_be_traced_is_refused_before_the_text_is_read(words, said, trained_abi):
    ran = trained_abi("trace", "--model", "tiny-llama", *words)
    assert ran.code in (1, 2)
    assert said in ran.err
    assert "reading" not in ran.err


@pytest.mark.parametrize("name", ["tiny-gpt2", "tiny-llama", "tiny-t5"])
def test_a_window_of_the_whole_context_is_traced_and_a_longer_one_is_that(trained_abi, name):
    words = (name, "--data", trained_abi.corpus, "--documents", "2", "--targets", "ffn:0")
    whole, longer, half = (
        run(trained_abi, *words, "--window", window).json for window in ("128", "200", "64")
    )
    assert whole["tokens"] == longer["tokens"] == 2 * half["tokens"]
    assert whole["targets"] == longer["targets"] != half["targets"]
