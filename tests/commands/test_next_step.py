"""Every verb ends with one line that says what to type next, and that line is valid."""

from __future__ import annotations

import ast
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
    "transfer": [
        HOSTED,
        {"donor": "law@a", "target": "b", "curves": {}},
        {**HOSTED, "donor": "a", "tuned": "./my lora", "target": "tiny", "curves": {}},
    ],
    "bridge-align": [HOSTED, {"donor": "law@a", "target": "b"}],
    "paste": [{"source": "a", "to": "b", "out": "c"}, {"source": "a", "to": "b", "dry_run": True}],
    "nib": [
        {"pass": True, "candidate": "x@b", "kind": "adapter"},
        {"pass": True, "candidate": "x@b", "anchor": "b", "kind": "fusion"},
        {"pass": False},
        {"pass": False, "power": {}},
    ],
    "uq": [{"files": ["uq/metrics.json"], "baseline": "b"}, {"files": []}],
    "trace": [
        {"files": ["t/trace.json"], "backbone": "b", "mode": "ablation", "metric": "nll"},
        {"files": ["t/trace.json"], "backbone": "b", "mode": "patching", "metric": "logit-diff"},
        {},
    ],
    "cfeval": [{"model": "x@b", "pairs": 7, "data": {"source": "my pairs.jsonl"}}, {}],
    "show": [{"kind": kind, **HOSTED} for kind in ("backbone", "module", "bank")],
    "validate": [
        {"pass": True, "model": "x@b", "kind": "linear"},
        {"pass": True, "model": "x@b"},
        {"pass": False, "model": "x@b"},
    ],
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
            ast.parse(step)


def test_what_reads_a_model_names_it_in_the_next_step():
    rows = {"models": [{"model": "law@a"}, {"model": "a"}]}
    assert next_step("perplexity", {}, rows) == "abi generate law@a --prompt TEXT"
    for verb in ("generate", "eval"):
        assert next_step(verb, {}, {"model": "law@a"}) == "abi perplexity law@a"


def test_what_is_not_known_stands_in_capitals_and_what_is_known_is_quoted():
    assert next_step("cfgen", {}, {}) == "abi cfeval --model MODEL --pairs OUT"
    assert next_step("cfgen", {"out": "a b"}, {}) == "abi cfeval --model MODEL --pairs 'a b'"
    kept = {"module_sha256": {"x@b": {}, "y@b": {}}}
    assert next_step("succession", {}, kept) == "abi gate --module x@b"
    judged = {"model": "x@b", "pairs": 7, "data": {"source": "my p.jsonl"}}
    assert next_step("cfeval", {"pairs": "my p.jsonl"}, judged).endswith("--pairs 'own=my p.jsonl'")
    assert "--baseline b --" in next_step("cfeval", {"baseline": "b"}, judged)
    traced, by_nll, by_kl = VARIANTS["trace"][0], {"model": "x@b"}, {"metric": "kl"}
    assert "--to b --trace t/trace.json" in next_step("trace", {}, traced | by_nll)
    assert next_step("trace", {}, traced | by_kl) == "abi report t/trace.json --out report.html"
    assert next_step("advise", {}, {"next": "abi show {x}"}) == "abi show {x}"


def test_the_next_step_after_an_export_is_python_that_finds_what_it_names():
    out = {"out": "x{1}", "loader": "AutoModelForSeq2SeqLM"}
    own, with_code, lora = (
        next_step("export", {"code": code}, {"form": form, **out})
        for form, code in (("transformers", False), ("transformers", True), ("lora", False))
    )
    assert own == "import transplant; transplant.load('x{1}')"
    assert "AutoModelForSeq2SeqLM.from_pretrained('x{1}', trust_remote_code=True)" in with_code
    assert "AutoPeftModelForSeq2SeqLM.from_pretrained('x{1}')" in lora
    routed = next_step("route-sim", {}, {"model": "x@b", "baseline": "b", "tau": 0.1234567})
    assert routed == "import transplant; transplant.load('x@b|b', route=0.123457)"
    for step in (own, with_code, lora, routed):
        imports, call = ast.parse(step).body
        (named,) = (one for one in ast.walk(call) if isinstance(one, ast.Name))
        assert named.id in {alias.name for alias in imports.names}


def test_a_move_that_was_not_judged_is_made_again_as_it_was_asked_for():
    asked = {"native": "none", "data": "my text.txt", "domain_data": "d.jsonl"}
    report = {"donor": "law@a", "target": "./data", "name": "mine@./data/d64"}
    again = next_step("transfer", asked, report)
    assert again == (
        "abi transfer --module law@a --to ./data --pair-data 'my text.txt' --domain-data d.jsonl "
        "--name mine --native train --replace"
    )
    # A student's donor is a backbone, which is no module.
    learned = next_step("transfer", asked, report | {"donor": "a", "tuned": "./lora"})
    assert learned == "abi validate --model mine@./data/d64 --baseline ./data"


@pytest.mark.parametrize(("verb", "model"), [("nib", "candidate"), ("validate", "model")])
def test_what_has_passed_is_exported_where_it_can_go_out(verb, model):
    passed = {"pass": True, model: "x@b", "anchor": "b"}
    for kind in ("module", "linear", "adapter", "basis"):
        assert next_step(verb, {}, passed | {"kind": kind}) == "abi export x@b DIR"
    for kind in ("backbone", "fusion", "injection", None):  # the last one inside a core
        step = next_step(verb, {}, passed | {"kind": kind})
        assert step.startswith("abi perplexity ")
        assert "x@b" in step


def test_an_adapter_inside_a_basis_is_validated_against_its_backbone():
    step = next_step("basis adapt", {"basis": "dirs@b"}, {"name": "x@b", "basis": "dirs@b"})
    assert step == "abi validate --model x@b --baseline b"


def test_the_backbone_of_a_name_is_whole_where_a_folder_begins_with_d():
    for backbone in ("./data", "owner/distilled", "/d/models"):
        for width in ("", "/d64"):
            step = next_step("gate", {}, {"name": f"x@{backbone}{width}"})
            assert step.endswith(f"--baseline {backbone}")


def test_the_next_step_after_a_comparison_reads_its_text():
    told = {"backbone": "b", "domain": "law"}
    assert "--data law " in next_step("basis compare", {}, told)
    assert "--data 'my law.txt' " in next_step("basis compare", {"data": "my law.txt"}, told)


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
