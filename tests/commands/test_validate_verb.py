"""abi validate: numbers of a whole run, gates, exit codes and JUnit."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from transplant.evidence.validate import plan as plans
from transplant.files.result_kinds import kind_of
from transplant.text.documents import Document
from transplant.text.splits import split_of

SMALL = plans.Suite(eval_tokens=1_200, pairs=12, nib_seeds=(7777,))


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """The suite of the tests: less of everything."""
    monkeypatch.setitem(plans.SUITES, "quick", SMALL)


@pytest.fixture(scope="module")
def general(tmp_path_factory) -> str:
    """Text of other words than the domain's."""
    path = tmp_path_factory.mktemp("general") / "general.jsonl"
    lines = [
        json.dumps({"text": " ".join(f"{(a * b + 7) % 97} + {b};" for b in range(1, 90))})
        for a in range(1, 60)
    ]
    path.write_text("\n".join(lines))
    return str(path)


def words(general, *more: str) -> tuple[str, ...]:
    return (
        "validate", "--model", "tales@tiny-gpt2", "--baseline", "tiny-gpt2",
        "--general", f"sums={general}", *more,
    )  # fmt: skip


def test_everything_is_measured_and_gates_decide(trained_abi, general, tmp_path):
    gates, junit = tmp_path / "gates.yaml", tmp_path / "v.xml"
    gates.write_text(
        "perplexity.tales: {max: 1}\ngain.tales: {min: -9}\n"
        "accuracy.coref: {min: 0, by: interval}\nnib.js.tales: {max: 1}\n"
    )
    ran = trained_abi(*words(general), "--gates", str(gates), "--junit", str(junit), "--json")
    assert ran.code == 3, ran.err
    found = ran.json
    assert kind_of(found) == "validation"
    plan = plans.ValidationPlan(
        model="x", baseline="y", domains={"tales": ""}, general={"sums": ""}
    )
    assert set(found["metrics"]) == set(plan.metrics)
    # tiny windows hold no chunk of the NIB
    assert found["failed"] == ["perplexity.tales", "nib.js.tales"]
    assert "perplexity.tales, nib.js.tales" in ran.err
    metrics = found["metrics"]
    assert metrics["gain.sums"]["value"] == pytest.approx(-metrics["forgetting.sums"]["value"])
    for number in metrics.values():
        if number["interval"] is not None:
            low, high = number["interval"]
            assert low <= number["value"] <= high
    assert metrics["drift.js.tales"]["value"] > 0
    suite = ElementTree.parse(junit).getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("4", "2")
    failures = [case.find("failure") is not None for case in suite]
    assert failures == [True, False, False, True]


def test_a_model_against_itself_has_drifted_nowhere(trained_abi, general):
    ran = trained_abi(
        "validate", "--model", "tiny-gpt2", "--baseline", "tiny-gpt2",
        "--general", f"sums={general}", "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    found = ran.json
    assert found["pass"] is True
    assert set(found["texts"]) == {"sums"}
    for name, number in found["metrics"].items():
        if name.startswith(("drift", "forgetting", "gain", "accuracy_gain")):
            assert number["value"] == pytest.approx(0.0, abs=1e-6), name


def test_perplexity_is_that_of_the_likelihood(trained_abi, general):
    from registry.store import Registry
    from transplant import Workspace
    from transplant.evaluation.likelihood import score_documents
    from transplant.workflows.corpus import read_as_needed, windows_of

    ran = trained_abi(*words(general, "--json"))
    work = Workspace(library=Registry.open(trained_abi.root))
    model = work.load("tales@tiny-gpt2")
    splits = read_as_needed(work, trained_abi.corpus, evaluation=SMALL.eval_tokens)
    windows = windows_of(model.backbone, splits.eval, 512, SMALL.eval_tokens)
    scores = score_documents(model.backbone, windows, {"x": model.corrector, "raw": None})
    found = ran.json["metrics"]["perplexity.tales"]["value"]
    assert found == pytest.approx(scores["x"].perplexity, rel=1e-5)
    assert ran.json["texts"]["tales"]["baseline_perplexity"] == pytest.approx(
        scores["raw"].perplexity, rel=1e-5
    )


def test_faults_are_refused_before_a_model_is_loaded(trained_abi, general, tmp_path):
    (tmp_path / "gates.yaml").write_text("\nece.nowhere: {max: 1}\n")

    def refused(*more):
        ran = trained_abi(*words(general, *more), "--json", "--quiet")
        assert ran.code == 1
        return ran.json["what"]

    assert "gates.yaml:2" in refused("--gates", str(tmp_path / "gates.yaml"))
    assert "missing.yaml" in refused("--gates", str(tmp_path / "missing.yaml"))
    assert "--suite" in refused("--suite", "huge")
    assert "--eval-data" in refused("--data", "tales")
    assert "missing.jsonl" in refused("--pairs", f"own={tmp_path / 'missing.jsonl'}")
    assert "cannot write" in refused("--junit", str(tmp_path))
    ran = trained_abi("validate", "--model", "tiny-gpt2", "--baseline", "tiny-llama", "--json")
    assert "other tokens" in ran.json["what"]


def test_a_table_names_the_gates(trained_abi, general, tmp_path):
    gates = tmp_path / "gates.yaml"
    gates.write_text("forgetting.sums: {max: 99}\n")
    ran = trained_abi(*words(general), "--gates", str(gates))
    assert ran.code == 0, ran.err
    assert "at most 99" in ran.out
    assert "pass" in ran.out


def test_one_held_out_document_has_no_interval_and_passes_no_gate_by_it(trained_abi, tmp_path):
    sides: dict[str, list[str]] = {"train": [], "calibration": [], "eval": []}
    for number in range(60):
        text = " ".join(f"{(number * b + 7) % 97} + {b};" for b in range(1, 90))
        sides[split_of(Document(text, str(number)))].append(text)
    kept = [*sides["train"], *sides["calibration"], sides["eval"][0]]
    general, gates = tmp_path / "one.jsonl", tmp_path / "gates.yaml"
    general.write_text("\n".join(json.dumps({"text": text}) for text in kept))
    gates.write_text("drift.js.sums: {min: 0, by: interval}\n")
    ran = trained_abi(*words(str(general)), "--gates", str(gates), "--json")
    assert ran.json["texts"]["sums"]["documents"] == 1
    for name in ("perplexity", "gain", "ece", "drift.js", "forgetting"):
        assert ran.json["metrics"][f"{name}.sums"]["value"] is not None
        assert ran.json["metrics"][f"{name}.sums"]["interval"] is None
    assert (ran.code, ran.json["failed"]) == (3, ["drift.js.sums"])
