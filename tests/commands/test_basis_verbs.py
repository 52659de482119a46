"""The verbs `abi basis ...` on tiny backbones, one after the other as a user runs them."""

from __future__ import annotations

import json

import pytest
import torch

import transplant
from tests.commands.basis_runs import FIT, fit_named
from tests.commands.test_bad_input import assert_refused
from tests.conftest import write_document
from tests.tiny import tiny_model
from tests.tiny_registry import put_corpus
from transplant.files.result_kinds import kind_of
from transplant.workflows.work import Work


@pytest.fixture(scope="module")
def fitted(trained_abi, corpus):
    """A registry with the basis `b` of tiny-llama."""
    return fit_named(trained_abi, corpus, "b")


TRAIN = ("--steps", "12", "--batch", "2", "--window", "64", "--tokens", "6k",
         "--calibration-tokens", "600", "--eval-tokens", "600",
         "--evaluate-every", "6")  # fmt: skip
ADAPT = (*TRAIN, "--learning-rate", "0.02")


@pytest.fixture(scope="module")
def allocated(fitted, tmp_path_factory):
    """The same with ranks, and the report."""
    abi, _ = fitted
    out = tmp_path_factory.mktemp("ranks") / "ranks"
    words = ("--budget", "600", "--tokens", "1k", "--step", "2", "--out", str(out), "--json")
    ran = abi("basis", "allocate", "b@tiny-llama", *words)
    assert ran.code == 0, ran.err
    return abi, ran.json, out


@pytest.fixture(scope="module")
def adapted(allocated, corpus, tmp_path_factory):
    """The same with the adapter `t`, its folder for PEFT and the merged backbone `tuned`."""
    abi, *_ = allocated
    peft = tmp_path_factory.mktemp("peft") / "lora"
    words = ("--domain", "tales", "--data", corpus, "--forget", corpus, "--name", "t", *ADAPT)
    more = ("--peft", str(peft), "--merge", "tuned", "--json")
    ran = abi("basis", "adapt", "b@tiny-llama", *words, *more)
    assert ran.code == 0, ran.err
    return abi, ran.json, peft


def test_fit_reports_and_stores_a_basis(fitted):
    abi, report = fitted
    assert report["maps"] == 14
    assert report["directions"] <= 16 * 14
    assert report["types"]["mlp.up_proj"]["width"] == 48
    assert {row["name"] for row in abi.rows() if row["kind"] == "basis"} >= {"b"}
    assert abi("show", "b@tiny-llama", "--json").json["kind"] == "basis"


def test_a_basis_alone_is_no_model(fitted):
    abi, _ = fitted
    sides = ("--anchor", "tiny-llama", "--candidate", "b@tiny-llama")
    assert_refused(abi("nib", *sides, "--json"), "a basis alone")


def test_allocation_fills_the_budget_and_is_drawn(allocated):
    _, report, out = allocated
    assert kind_of(report) == "ranks"
    assert report["parameters"] <= 600
    assert report["parameters"] == sum(rank**2 for rank in report["ranks"].values()) > 500
    kept = report["share_kept"]
    assert kept["chosen"] == kept["exact"] >= max(kept["greedy"], kept["uniform"])
    assert {path.name for path in out.iterdir()} == {"ranks.json", "ranks.png", "ranks.html"}
    assert (out / "ranks.png").read_bytes().startswith(b"\x89PNG")
    page = (out / "ranks.html").read_text()
    assert "self_attn.q_proj" in page
    assert "<svg" in page


@pytest.mark.parametrize("more", [(), ("--r-max", "4")])
def test_a_budget_above_all_directions_warns_once_and_shares_are_of_the_whole_energy(
    fitted, corpus, more
):
    abi, _ = fitted
    fit = ("basis", "fit", "--backbone", "tiny-llama", "--data", corpus, "--name", "six", *FIT,
           "--max-rank", "6", "--replace", "--json")  # fmt: skip
    assert abi(*fit).code == 0
    words = ("basis", "allocate", "six@tiny-llama", "--score", "energy", "--json", *more)
    most = 14 * (int(more[1]) if more else 6) ** 2
    ran = abi(*words, "--budget", str(most))
    assert ran.json["parameters"] == most
    (line,) = (line for line in ran.err.splitlines() if "warning" in line)
    assert f"{most:,} parameters" in line
    assert ("--r-max 8" if more else "--max-rank 12") in line
    # What the dropped directions hold counts as well: all that are kept are not the whole.
    basis = _library(abi).read(_library(abi).find("basis", "six", "tiny-llama"))
    kept = [
        float(tensor[: int(more[1]) if more else 6].sum() / tensor.sum())
        for name, tensor in basis.items()
        if name.endswith(".energies")
    ]
    assert ran.json["share_kept"]["chosen"] == pytest.approx(sum(kept) / 14)
    assert ran.json["share_kept"]["chosen"] < 0.999
    assert "warning" not in abi(*words, "--budget", str(most - 1)).err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), "--budget"),
        (("--budget", "3", "--r-min", "2"), "56 parameters or more"),
        (("--budget-like", "lora"), "lora:r=8"),
        (("--budget", "9999", "--r-max", "400"), "no more than 16 directions"),
        (("--budget", "9999", "--score", "best"), "fisher"),
        (("--budget", "200", "--score", "uniform"), "224 parameters or more"),  # 14 maps of 4^2
    ],
)
def test_an_allocation_that_cannot_be_is_refused(allocated, more, said):
    abi, *_ = allocated
    assert_refused(abi("basis", "allocate", "b@tiny-llama", *more, "--json"), said)


def test_an_adapter_is_hosted_by_name_and_handed_on(adapted):
    abi, report, peft = adapted
    assert report["logits_at_step_0"] == 0
    assert report["losses"]["domain"]["difference"] < 0
    library = transplant.Workspace(library=_library(abi)).library
    model, raw, tuned = (
        transplant.load(name, library=library) for name in ("t@tiny-llama", "tiny-llama", "tuned")
    )
    ids = torch.arange(5, 25)[None]
    with torch.no_grad():
        ours, base, whole = (one(input_ids=ids).logits for one in (model, raw, tuned))
    assert (ours - base).abs().max() > 1e-2
    assert torch.allclose(ours, whole, atol=1e-3)
    words = ("adapters", "--import", str(peft), "--to", "tiny-llama", "--name", "again", "--json")
    assert abi(*words).code == 0
    again = transplant.load("again@tiny-llama", library=library)
    with torch.no_grad():
        assert torch.allclose(ours, again(input_ids=ids).logits, atol=1e-4)
    shown = abi.rows()
    kinds = {row["name"]: row["kind"] for row in shown}
    assert (kinds["b"], kinds["t"], kinds["again"]) == ("basis", "basis", "adapter")


def _library(abi):
    from registry.store import Registry

    return Registry.open(abi.root)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere@tiny-llama", "--domain", "tales", "--name", "u"), "nowhere@tiny-llama"),
        (("nowhere@tiny-llama", "--domain", "tales", "--name", "t"), "nowhere@tiny-llama"),
        (("nowhere@tiny-llama", "--domain", "tales", "--name", "a/b"), "'a/b' is no name"),
        (("tiny-llama", "--domain", "tales", "--name", "u"), "NAME@<backbone>"),
        (("t@tiny-llama", "--domain", "tales", "--name", "u"), "the basis itself"),
        (("b@tiny-llama", "--domain", "tales", "--name", "t"), "t@tiny-llama"),
        (("b@tiny-llama",), "--domain"),
        (("b@tiny-llama", "--compress", "0.5"), "--out"),
        (("b@tiny-llama", "--compress", "1.5", "--out", "nowhere"), "between 0 and 1"),
    ],
)
def test_an_adapter_that_cannot_be_is_refused(adapted, words, said):
    abi, *_ = adapted
    assert_refused(abi("basis", "adapt", *words, "--json"), said)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--layers", "nowhere"), "self_attn.q_proj"),
        (("--tokens", "none"), "--tokens"),
        (("--tokens", "9", "--window", "16", "--max-rank", "48"), "too few tokens"),
        (("--floor", "2"), "floor"),
    ],
)
def test_bad_input_is_refused_before_the_work(fitted, corpus, more, said):
    abi, _ = fitted
    words = ("basis", "fit", "--backbone", "tiny-llama", "--data", corpus, "--name", "c", *FIT)
    ran = abi(*words, *more, "--json")
    assert_refused(ran, said)


@pytest.mark.parametrize("way", [(), ("--layer-at-a-time",)])
def test_a_quantised_backbone_is_refused_by_its_configuration(
    fitted, corpus, tmp_path, tiny_tokenizer, monkeypatch, way
):
    abi, _ = fitted
    folder = tmp_path / "packed"
    tiny_model("llama", tiny_tokenizer).save_pretrained(folder)
    stored = json.loads((folder / "config.json").read_text())
    stored["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (folder / "config.json").write_text(json.dumps(stored))

    def loaded(*_args, **_options):
        raise AssertionError("loaded before it was refused")

    monkeypatch.setattr(Work, "load", loaded)
    words = ("basis", "fit", "--backbone", str(folder), "--data", corpus, "--name", "p", *FIT)
    assert_refused(abi(*words, *way, "--json"), "as they are", "quantised (gptq)")


def test_a_verb_of_a_group_names_its_own_help(fitted):
    abi, _ = fitted
    ran = abi("basis", "fit", "--nowhere")
    assert ran.code == 2
    assert "abi basis fit --help" in ran.err
    assert abi("basis", "nowhere", "--json").code == 2
    assert_refused(abi("basis", "fit", "--json", "--name", "b"), "Missing option")


@pytest.mark.usefixtures("bfloat16")
def test_a_comparison_is_continued_and_drawn(fitted, corpus, tmp_path):
    pytest.importorskip("peft")
    abi, _ = fitted
    words = (
        "basis", "compare", "--backbone", "tiny-llama", "--domain", "tales", "--data", corpus,
        "--forget", corpus, "--layers", "q_proj,down_proj", "--rank", "2", "--seeds", "1",
        "--out", str(tmp_path / "out"), *TRAIN, "--steps", "4", "--json",
    )  # fmt: skip
    first = abi(*words, "--methods", "basis-energy,lora")
    assert first.code == 0, first.err
    again = abi(*words, "--methods", "basis-energy,lora,rslora")
    assert again.code == 0, again.err
    rows = [{row["method"]: row for row in ran.json["rows"]} for ran in (first, again)]
    assert rows[0]["lora"] == rows[1]["lora"]  # the seconds, too: it was not run again
    assert rows[1].keys() == {"basis-energy", "lora", "rslora"}
    assert (tmp_path / "out" / "compare.png").read_bytes().startswith(b"\x89PNG")
    assert_refused(abi(*words, "--methods", "best"), "basis-energy")
    for other in (("--rank", "3"), ("--dtype", "bfloat16")):
        assert_refused(abi(*words, "--methods", "lora", *other), "another run")
    assert abi(*words, "--learning-rate", "0.02").code == 2  # each method has a search of its own


def test_a_comparison_keeps_the_text_that_it_is_told_to(fitted, corpus, tmp_path):
    pytest.importorskip("peft")
    abi, _ = fitted
    kept = put_corpus(tmp_path / "kept", tuple(write_document(seed) for seed in range(900, 960)))
    words = (
        "basis", "compare", "--backbone", "tiny-llama", "--domain", "tales", "--data", corpus,
        "--forget", corpus, "--layers", "q_proj", "--rank", "2", "--seeds", "1", "--methods",
        "basis", *TRAIN, "--steps", "2", "--evaluate-every", "2", "--json",
    )  # fmt: skip
    reports = []
    for name, more in (("plain", ()), ("told", ("--retain", kept))):
        ran = abi(*words, *more, "--out", str(tmp_path / name))
        assert ran.code == 0, ran.err
        reports.append(ran.json)
    assert [one["retain"] for one in reports] == [corpus, kept]
    (plain,), (told,) = (one["rows"] for one in reports)
    assert plain["domain"] != told["domain"], plain
