"""Every verb ends with one line that says what to type next, and that line is valid."""

from __future__ import annotations

import json
import shlex

import pytest

from commands.next_step import next_step
from commands.verb_table import VERBS
from tests.test_documents import parse
from transplant.workflows.next_steps import NEXT

EVERY = [name for names in VERBS.values() for name in names]
HOSTED = {"name": "law@tiny/d64", "hosted": "law@tiny/d64", "backbone": "tiny"}
VARIANTS = {
    "train": [HOSTED, {**HOSTED, "form": "lite", "domain": "law"}],
    "transfer": [HOSTED, {"donor": "law@a", "target": "b", "curves": {}}],
    "bridge-align": [HOSTED, {"donor": "law@a", "target": "b"}],
    "paste": [{"source": "a", "to": "b", "out": "c"}, {"source": "a", "to": "b", "dry_run": True}],
    "nib": [{"pass": True, "candidate": "x@b"}, {"pass": False}],
    "uq": [{"files": ["uq/metrics.json"], "baseline": "b"}, {"files": []}],
    "trace": [
        {"files": ["t/trace.json"], "backbone": "b", "mode": "ablation", "metric": "nll"},
        {"files": ["t/trace.json"], "backbone": "b", "mode": "patching", "metric": "logit-diff"},
        {},
    ],
    "cfeval": [{"model": "x@b", "pairs": 7, "data": {"source": "my pairs.jsonl"}}, {}],
    "show": [{"kind": kind, **HOSTED} for kind in ("backbone", "module", "bank")],
    "validate": [{"pass": True, "model": "x@b"}, {"pass": False, "model": "x@b"}],
    "inspect": [{"name": "bank", "pieces": [{"piece": "ffn.3"}]}],
    "extract": [{"name": "bank", "pieces": ["heads.1"]}],
    "advise": [{"next": "abi transfer --module x@a --to b"}],
    "basis adapt": [HOSTED, {"out": "dir with space"}],
    "export": [{"form": "safetensors"}],
}


def test_the_table_has_every_verb_and_no_other():
    named = {name.replace("-", "_").replace(" ", "_") for name in EVERY}
    assert {*NEXT} == named - {"advise"}  # its report names its steps


@pytest.mark.parametrize("name", EVERY)
def test_the_next_step_is_a_valid_command(name):
    for report in VARIANTS.get(name, [HOSTED]):
        step = next_step(name, {"to": "b", "source": "a", "layer": 1, "native": None}, report)
        assert "{" not in step
        words = shlex.split(step)
        if words[0] == "abi":
            parse(words[1:])
        else:
            assert name == "route-sim", step


def test_what_reads_a_model_names_it_in_the_next_step():
    rows = {"models": [{"model": "law@a"}, {"model": "a"}]}
    assert next_step("perplexity", {}, rows) == "abi generate law@a --prompt TEXT"
    for verb in ("generate", "eval"):
        assert next_step(verb, {}, {"model": "law@a"}) == "abi perplexity law@a"


def test_what_is_not_known_stands_in_capitals_and_what_is_known_is_quoted():
    assert next_step("cfgen", {}, {}) == "abi cfeval --model MODEL --pairs OUT"
    assert next_step("cfgen", {"out": "a b"}, {}) == "abi cfeval --model MODEL --pairs 'a b'"
    loaded = next_step("export", {}, {"form": "lora", "out": "x{1}"})
    assert loaded == "AutoPeftModelForCausalLM.from_pretrained('x{1}')"
    own, with_code = (
        next_step("export", {"code": code}, {"form": "transformers", "out": "x"})
        for code in (False, True)
    )
    assert own == "import transplant; AutoModelForCausalLM.from_pretrained('x')"
    assert with_code == "AutoModelForCausalLM.from_pretrained('x', trust_remote_code=True)"
    kept = {"module_sha256": {"x@b": {}, "y@b": {}}}
    assert next_step("succession", {}, kept) == "abi gate --module x@b"
    judged = {"model": "x@b", "pairs": 7, "data": {"source": "my p.jsonl"}}
    assert next_step("cfeval", {"pairs": "my p.jsonl"}, judged).endswith("--pairs 'own=my p.jsonl'")
    assert "--baseline b --" in next_step("cfeval", {"baseline": "b"}, judged)
    traced, by_nll, by_kl = VARIANTS["trace"][0], {"model": "x@b"}, {"metric": "kl"}
    assert "--to b --trace t/trace.json" in next_step("trace", {}, traced | by_nll)
    assert next_step("trace", {}, traced | by_kl) == "abi report t/trace.json --out report.html"
    assert next_step("advise", {}, {"next": "abi show {x}"}) == "abi show {x}"


def test_a_verb_ends_with_one_such_line_on_stderr_and_has_none_in_json(trained_abi):
    shown = trained_abi("show", "tales@tiny-gpt2")
    (line,) = [line for line in shown.err.splitlines() if line.startswith("Next:")]
    assert line == "Next: abi transfer --module tales@tiny-gpt2/d16 --to OTHER_BACKBONE"
    assert "Next:" not in shown.out
    ran = trained_abi("show", "tales@tiny-gpt2", "--json")
    assert "Next:" not in ran.err + ran.out
    assert "Next:" not in trained_abi("show", "nobody@tiny-gpt2").err  # an error has its own


def test_a_benchmark_that_does_not_pass_says_what_is_next_too(trained_abi):
    words = ("nib", "--anchor", "tales@tiny-gpt2", "--candidate", "tiny-gpt2")
    ran = trained_abi(*words, "--eval-data", trained_abi.corpus, "--chunk-length", "40")
    assert ran.code in (0, 3), ran.err
    assert ran.err.count("Next: abi ") == 1
    json.loads(trained_abi(*words, "--eval-data", "no.txt", "--json").out)
