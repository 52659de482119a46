"""abi perplexity, abi generate and abi eval on real input."""

from __future__ import annotations

import json

import pytest

from commands.render.written import Written
from transplant.tables.generated import printable


def test_perplexity_prints_a_line_for_each_model_and_one_object(trained_abi):
    words = ("perplexity", "tales@tiny-gpt2", "tiny-gpt2", "tiny-llama", "--eval-tokens", "900")
    report = trained_abi(*words, "--json").json
    own, raw, _ = report["models"]
    assert report["data"] == trained_abi.corpus  # the module's own text
    assert own["ppl"]["mean"] < raw["ppl"]["mean"]
    assert raw["more_bits_per_byte"]["mean"] > 0
    assert sum(one["tokens"] for one in own["per_document"]) == own["tokens"]
    shown = trained_abi(*words).out
    assert "bits a byte" in shown
    assert f"{own['ppl']['mean']:,.2f}" in shown
    whole = trained_abi(*words, "--whole", "--data", trained_abi.corpus, "--json").json
    assert whole["models"][0]["documents"] > own["documents"]
    refused = trained_abi("perplexity", "tiny-gpt2", "tiny-gpt2", "--json")
    assert refused.code == 1


def test_generate_prints_what_the_models_write(trained_abi):
    words = ("generate", "tales@tiny-gpt2", "--prompt", "The ba", "--max-new-tokens", "6")
    report = trained_abi(*words, "--json").json
    (texts,) = report["texts"]
    assert {*texts} == {"prompt", "raw", "native"}
    shown = trained_abi(*words).out
    for role in ("raw", "native"):
        assert printable(texts[role]["text"]).split("\n")[0] in shown
    assert "native: tales@tiny-gpt2" in shown
    refused = trained_abi("generate", "tales@tiny-gpt2", "--prompt", "", "--json")
    assert (refused.code, "--prompt" in refused.json["what"]) == (1, True)
    missing = trained_abi("generate", "taels@tiny-gpt2", "--prompt", "x", "--json")
    assert (missing.code, missing.json["error"]) == (1, "NotFoundError")


def test_pieces_are_printed_as_they_come_and_steer_no_terminal():
    class Out:
        said = ""

        def piece(self, text, **_):
            self.said += text

    out = Out()
    along = Written(out)
    for role in ("raw", "native"):
        along.begin(role, "m", "The\nba")
        along.add("a\x1b[31m\tb\n")
        along.end()
    assert out.said.count("> The\n> ba\n") == 1
    assert "\x1b" not in out.said
    assert "a\\x1b[31m\tb\n" in out.said


def own_task(folder):
    """A task of four questions, in files of that folder."""
    data = folder / "questions.jsonl"
    rows = [{"stem": "The ba", "ends": [" cor", " dens"], "right": n % 2} for n in range(4)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = {
        "task": "own", "dataset_path": "json", "dataset_kwargs": {"data_files": str(data)},
        "test_split": "train", "output_type": "multiple_choice", "doc_to_text": "{{stem}}",
        "doc_to_choice": "{{ends}}", "doc_to_target": "{{right}}",
        "metric_list": [{"metric": "acc"}],
    }  # fmt: skip
    (folder / "own.yaml").write_text(json.dumps(task))
    return ("--task-path", str(folder / "own.yaml"))


@pytest.mark.filterwarnings("ignore")
def test_eval_prints_values_with_their_errors(trained_abi, tmp_path, monkeypatch):
    pytest.importorskip("lm_eval", reason="lm-eval is not installed")
    from transplant.evidence.harness import model as harness

    words = ("eval", "tales@tiny-gpt2", *own_task(tmp_path))
    report = trained_abi(*words, "--json").json
    assert {*report["systems"]} == {"raw", "native"}
    assert report["tasks"]["own"]["metrics"]["acc,none"]["raw"]["value"] == 0.5
    assert (report["tasks"]["own"]["questions"], report["tasks"]["own"]["shots"]) == (4, 0)
    assert "0.5000 ± 0.2887" in trained_abi(*words).out
    batches = []

    class Counted(harness.AbiLM):
        def __init__(self, model, *, batch_size):
            batches.append(batch_size)
            super().__init__(model, batch_size=batch_size)

    monkeypatch.setattr(harness, "AbiLM", Counted)
    less = ("--limit", "2", "--shots", "1", "--batch", "3", "--native", "none")
    asked = trained_abi(*words, *less, "--json").json["tasks"]["own"]
    assert (asked["questions"], asked["shots"], {*batches}) == (2, 1, {3})
    refused = trained_abi("eval", "tiny-gpt2", "--task-path", str(tmp_path / "no"), "--json")
    assert (refused.code, refused.json["error"]) == (1, "NotFoundError")
    assert "--tasks" in trained_abi("eval", "tiny-gpt2", "--json").json["what"]


def test_a_native_is_asked_for_beside_what_was_moved_alone(trained_abi):
    for name in ("tales@tiny-gpt2", "tiny-llama"):
        ran = trained_abi("generate", name, "--prompt", "The", "--native", "tales", "--json")
        assert (ran.code, "--native tales" in ran.json["what"]) == (1, True)


@pytest.mark.parametrize(("flag", "wrong"), [("--limit", "0"), ("--shots", "-1"), ("--batch", "0")])
def test_eval_refuses_what_it_cannot_ask_by_its_flag(trained_abi, flag, wrong):
    ran = trained_abi("eval", "tiny-gpt2", "--tasks", "any", flag, wrong, "--json")
    assert (ran.code, flag in ran.json["what"]) == (1, True)
