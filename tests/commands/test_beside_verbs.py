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


@pytest.mark.filterwarnings("ignore")
def test_eval_prints_values_with_their_errors(trained_abi, tmp_path):
    pytest.importorskip("lm_eval", reason="lm-eval is not installed")
    data = tmp_path / "questions.jsonl"
    rows = [{"stem": "The ba", "ends": [" cor", " dens"], "right": n % 2} for n in range(4)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = {
        "task": "own", "dataset_path": "json", "dataset_kwargs": {"data_files": str(data)},
        "test_split": "train", "output_type": "multiple_choice", "doc_to_text": "{{stem}}",
        "doc_to_choice": "{{ends}}", "doc_to_target": "{{right}}",
        "metric_list": [{"metric": "acc"}],
    }  # fmt: skip
    (tmp_path / "own.yaml").write_text(json.dumps(task))
    words = ("eval", "tales@tiny-gpt2", "--task-path", str(tmp_path / "own.yaml"))
    report = trained_abi(*words, "--json").json
    assert {*report["systems"]} == {"raw", "native"}
    assert report["tasks"]["own"]["metrics"]["acc,none"]["raw"]["value"] == 0.5
    assert "0.5000 ± 0.2887" in trained_abi(*words).out
    refused = trained_abi("eval", "tiny-gpt2", "--task-path", str(tmp_path / "no"), "--json")
    assert (refused.code, refused.json["error"]) == (1, "NotFoundError")
    assert "--tasks" in trained_abi("eval", "tiny-gpt2", "--json").json["what"]
