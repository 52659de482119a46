"""A second source of a domain, evaluated beside the held-out text of the first."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest

from tests.conftest import write_document
from tests.tiny import tiny_backbone
from transplant.errors import CorpusError, TransplantError
from transplant.tables.sources import sources_table
from transplant.text.documents import Document
from transplant.text.windows import cut_windows
from transplant.workflows.also_eval import judge_source, predicted_bytes, read_sources
from transplant.workflows.work import Work

FEW = ("--excerpts", "40", "--eval-tokens", "2000")


@pytest.fixture
def other(corpus, tmp_path) -> Path:
    """Another source: documents of its own, and two of the corpus."""
    folder = tmp_path / "other"
    folder.mkdir()
    for number in range(8):
        (folder / f"new{number}.txt").write_text(write_document(1000 + number))
    for path in sorted(Path(corpus).iterdir())[:10]:
        shutil.copy(path, folder)
    return folder


def check(sources: dict, systems: set[str]) -> None:
    out = sources["out_of_source"]["elsewhere"]
    assert 8 <= out["documents"] < 18
    assert out["documents"] + out["dropped"] == 18
    for found in (sources["in_source"], out):
        assert found["ppl"].keys() == found["bits_per_byte"].keys() == systems
        assert found["gain"].keys() == systems - {"raw"}
        for gain in found["gain"].values():
            low, high = gain["interval"]
            assert low <= gain["nats"] <= high
        bits = math.log2(found["ppl"]["raw"]) * found["tokens"] / found["bytes"]
        assert found["bits_per_byte"]["raw"] == pytest.approx(bits)
        none = "no_ceiling" in found
        assert all((value is None) == none for value in found["recovered"].values())


def test_train_reports_both_sources_apart(abi, other):
    ran = abi.train("tiny-gpt2", "--also-eval", f"elsewhere={other}", "--eval-tokens", "2000")
    assert ran.code == 0, ran.err
    check(ran.json["sources"], {"raw", "native"})
    plain = abi.train("tiny-gpt2", "--name", "plain", "--eval-tokens", "2000")
    assert plain.json["module_sha256"] == ran.json["module_sha256"]  # nothing of it was trained on
    assert ran.json["ppl"] == plain.json["ppl"]
    assert "sources" not in plain.json


def test_a_move_is_judged_on_both_sources(trained_abi, abi, other):
    shutil.copytree(trained_abi.root, abi.root, dirs_exist_ok=True)
    words = ("--module", "tales@tiny-gpt2", "--to", "tiny-llama", "--data", abi.corpus)
    more = ("--also-eval", f"elsewhere={other}")
    # What another test has moved came with the copy.
    ran = abi("transfer", *words, *FEW, *more, "--replace", "--json")
    assert ran.code == 0, ran.err
    best = {ran.json["best_donor_free"], ran.json["best_module_free"]}
    check(ran.json["sources"], {"raw", "native", "candidate", *best})
    ran = abi("calibrate", *words, "--excerpts", "40", "--name", "again", *more, "--json")
    assert ran.code == 0, ran.err
    check(ran.json["sources"], {"raw", "candidate"})
    assert ran.json["sources"]["in_source"]["recovered"] == {"candidate": None}
    names = ("--anchor", "tales@tiny-llama", "--candidate", "tales-from-tiny-gpt2@tiny-llama")
    ran = abi("nib", *names, "--chunks", "2", "--chunk-length", "64", *more, "--json")
    assert ran.code in (0, 3), ran.err
    found = ran.json["sources"]["out_of_source"]["elsewhere"]
    assert 0 <= found["nib"]["top5"] <= 1
    assert found["dropped"] > 0
    ran = abi(
        "ablate", "controls", *words, *FEW, "--steps", "2", "--tokens", "2000", *more, "--json"
    )
    assert ran.code == 0, ran.err
    systems = ran.json["sources"]["out_of_source"]["elsewhere"]["ppl"].keys()
    assert {"raw", "native"} < systems
    shown = abi("nib", *names, "--chunks", "2", "--chunk-length", "64", *more)
    assert "elsewhere" in shown.out


@pytest.mark.parametrize("given", ["elsewhere", "=x", "a=", "a=x --also-eval a=y"])
def test_a_malformed_source_is_refused_before_the_work(abi, given):
    ran = abi.train("tiny-gpt2", "--also-eval", *given.split(" "))
    assert ran.code == 1
    assert "NAME=PATH" in json.loads(ran.out)["expected"]
    assert "training" not in ran.err


def test_a_source_of_nothing_new_is_refused(tmp_path):
    path = tmp_path / "one.txt"
    path.write_text(write_document(1))
    work = Work(library=None)
    with pytest.raises(CorpusError, match="all in the training text"):
        read_sources(work, {"x": str(path)}, [Document(write_document(1), "a")], 100)
    assert read_sources(work, {"x": str(path)}, [], 100)["x"].dropped == 0
    with pytest.raises(TransplantError):
        read_sources(work, {"x": str(tmp_path / "nothing.txt")}, [], 100)


def test_a_native_that_gains_nothing_is_no_ceiling(tiny_tokenizer, tiny_corpus):
    backbone = tiny_backbone("gpt2", tiny_tokenizer)
    found = judge_source(
        Work(library=None), backbone, {"raw": None, "native": None, "candidate": None},
        tiny_corpus[:5], 500, "x",
    )  # fmt: skip
    assert found["recovered"] == {"candidate": None}
    assert found["no_ceiling"].startswith("no ceiling: the native gains 0.0000 nats")
    shown = sources_table({"in_source": found, "out_of_source": {"y": {**found, "dropped": 0}}})
    assert shown.to_markdown().count("| no ceiling |") == 2  # of the candidate, on each source


def test_bytes_are_those_of_the_predicted_text(tiny_tokenizer):
    texts = ["plain words, and more of them " * 4, "äöü ß " * 20]
    documents = [Document(text, "x") for text in texts]
    windows = cut_windows(documents, tiny_tokenizer, 4096)
    first = [len(documents[w.document].text[: w.ends[0]].encode()) for w in windows]
    total = sum(len(text.encode()) for text in texts)
    backbone = tiny_backbone("gpt2", tiny_tokenizer)
    assert predicted_bytes(backbone, windows, documents) == total - sum(first)
