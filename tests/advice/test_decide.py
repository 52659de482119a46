"""Advice is a pure function of its numbers: each branch, and both sides of each threshold."""

from __future__ import annotations

import dataclasses

import pytest

from commands.render.advice import command_of
from tests.advice.cases import APART, CASES, CHESS, PYTHON, measured
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
        "several candidates?",
    ]  # fmt: skip
    assert [a.number for a in answers] == [None, 0.6, 0.9, 0.93, 0.4, 1]
    assert [a.yes for a in answers] == [False, True, True, True, False, False]


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
