"""Advice is a pure function of its numbers: each branch, and both sides of each threshold."""

from __future__ import annotations

import dataclasses

import pytest

from commands.render.typed import command_of
from tests.advice.cases import APART, CASES, CHESS, PYTHON, ROUTED, THERE, measured
from transplant.advice.config import AdviceConfig, Thresholds
from transplant.advice.decide import advise
from transplant.errors import InputError

AT = Thresholds()
BOTH = {"candidates": (PYTHON, CHESS)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_branch_ends_in_its_commands(case):
    advice = advise(measured(**case.changes), AT)
    assert advice.strategy == case.strategy
    if case.commands:
        assert tuple(command_of(step) for step in advice.steps) == case.commands
    assert advice.steps
    assert all(step.why for step in advice.steps)


def test_two_tasks_get_two_specialists():
    def mixture(**more):
        steps = advise(measured(r2=0.1, **more), AT).steps
        return next(s.options["mixture"] for s in steps if s.verb == "bridge_train")

    assert (mixture(), mixture(**APART)) == ("1", "2")


@pytest.mark.parametrize(
    ("number", "threshold", "changes", "above", "below"),
    [
        ("r2", "aligned", {}, "transfer", "inject + bridge-train"),
        ("exact_text", "vocabulary", {}, "transfer", "embed-init + transfer"),
        ("shared_cosine", "same_space", {}, "paste", "transfer"),
        ("divergence", "divergence", BOTH, "transfer + fuse", "transfer"),
        ("correction_cosine", "same_correction", BOTH, "transfer", "transfer + fuse"),
    ],
)  # fmt: skip
def test_each_threshold_is_where_the_answer_turns(number, threshold, changes, above, below):
    at = getattr(AT, threshold)
    for value, strategy in ((at, above), (at - 1e-6, below)):
        assert advise(measured(**{**changes, number: value}), AT).strategy == strategy
    moved = dataclasses.replace(AT, **{threshold: at - 1e-3})
    assert advise(measured(**{**changes, number: at - 1e-6}), moved).strategy == above


def test_impact_decides_only_where_nothing_is_aligned():
    weighty, idle = ({"impact": {"block.0.mlp": AT.impact + d}} for d in (0.0, -1e-6))
    assert advise(measured(r2=0.0, **weighty), AT).strategy == "inject + bridge-train"
    assert advise(measured(r2=0.0, **idle), AT).strategy == "train on the target"
    assert advise(measured(**weighty), AT).steps == advise(measured(**idle), AT).steps


def test_every_answer_carries_its_number_and_threshold():
    answers = advise(measured(**APART), AT).answers
    assert [a.question for a in answers] == [
        "the same space?", "aligned?", "high-impact parts?", "one vocabulary?", "one task?",
        "several candidates?", "no regress?",
    ]  # fmt: skip
    assert [a.number for a in answers] == [None, 0.6, 0.9, 0.93, 0.4, 1, None]
    assert [a.yes for a in answers] == [False, True, True, True, False, False, False]


def test_nothing_is_measured_on_nothing():
    with pytest.raises(InputError, match="excerpts"):
        AdviceConfig(excerpts=0)


def test_a_catalog_names_the_bank_and_the_block_that_is_most_alike():
    known = {"bank": "kb", "similar": {2: 1}, "roles": {1: ("induction", "induction", "previous")}}
    advice = advise(measured(r2=0.1, pieces=frozenset({"heads.1"}), **known), AT)
    assert [step.verb for step in advice.steps] == ["capture", "bridge_train", "inject"]
    assert advice.steps[-1].options["source"] == "kb:heads.1"
    assert "2 induction, 1 previous" in advice.steps[1].why
    lacking = advise(measured(r2=0.1, pieces=frozenset({"ffn.1"}), **known), AT)
    assert lacking.steps[0].verb == "extract"
    assert lacking.steps[-1].options["source"] == "ref-gpt2-parts:heads.1"


def test_an_impact_of_a_trace_is_told_from_one_that_was_measured():
    rests_on = [advise(measured(traced=traced), AT).answers[2].rests_on for traced in (True, False)]
    assert "by the trace" in rests_on[0]
    assert "by the trace" not in rests_on[1]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_whatever_is_made_is_proved(case):
    advice = advise(measured(**case.changes), AT)
    verbs = [step.verb for step in advice.proof]
    assert verbs == ["validate", "cfgen", "cfeval", "uq", "route_sim", "report", "studio"]
    models = {step.options["model"] for step in advice.proof if "model" in step.options}
    made = models.pop()
    assert not models  # one name all along
    baselines = {step.options["baseline"] for step in advice.proof if "baseline" in step.options}
    assert baselines == {made.partition("@")[2]} or advice.strategy == "paste"
    assert advice.proof[1].options["out"] == advice.proof[2].options["pairs"]
    assert advice.proof[4].options["metrics"] == advice.proof[3].options["out"] + "/metrics.json"


def test_a_domain_is_asked_for_what_it_should_know():
    tasks = [
        advise(measured(candidates=(one,)), AT).proof[1].options["task"] for one in (PYTHON, CHESS)
    ]
    assert tasks == ["python-scope", "agreement"]


def test_a_route_decides_between_done_and_a_gate():
    for regress, strategy in ((0.01, "done"), (0.01 + 1e-6, "gate")):
        route = dataclasses.replace(ROUTED, regress=regress)
        advice = advise(measured(candidates=(THERE,), route=route), AT)
        assert advice.strategy == strategy
        assert advice.answers[-1].yes == (strategy == "done")
        verbs = [step.verb for step in advice.proof]
        assert verbs == ["validate", "cfgen", "cfeval", "report", "studio"]
    assert command_of(advice.steps[0]) == "abi gate --module law-from-ref-gpt2@ref-llama"
    elsewhere = dataclasses.replace(ROUTED, regress=1.0, model="chess-from-ref-gpt2@ref-llama")
    assert advise(measured(candidates=(THERE,), route=elsewhere), AT).strategy == "done"
    assert advise(measured(candidates=(PYTHON,), route=route), AT).strategy == "transfer"
