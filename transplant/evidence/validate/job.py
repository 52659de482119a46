"""The whole validation: texts, minimal pairs, and the gates."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.counterfactuals.grammars import GRAMMARS, draw_pairs
from transplant.counterfactuals.pair_file import Pair, read_pairs
from transplant.errors import InputError
from transplant.evidence.cfeval import judge_pairs, pairs_report
from transplant.evidence.validate.gate_file import Number, judge, read_gates
from transplant.evidence.validate.on_text import check_text
from transplant.evidence.validate.plan import ValidationPlan
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.modules.hosted import HostedModel

GENERAL = {"prose": "prose"}


def plan_validation(
    work: Work,
    model: str,
    baseline: str,
    *,
    domains: Mapping[str, str] | None = None,
    general: Mapping[str, str] | None = None,
    pairs: Mapping[str, str] | None = None,
    suite: str = "quick",
) -> ValidationPlan:
    """What is compared: by default the model's own domain, and `prose` as general text.

    Args:
        work: where the model's domain is looked up.
        model: the hosted model to judge.
        baseline: what it is held against, of the same tokenizer: a backbone (a name, a folder or a
            hub id) or what is hosted on one.
        domains: texts that the model is for, by name.
        general: texts that it must not get worse on, by name.
        pairs: files of minimal pairs of the user's own, by name.
        suite: `quick` or `full`.

    Raises:
        NotFoundError: one of them is not there.
    """
    work.check_there(model=model, baseline=baseline)
    if not domains:
        name, source = work.named(model), work.domain_source(model)
        domains = {} if source is None else {name.module or source: source}
    return ValidationPlan(
        model=model, baseline=baseline, domains=domains,
        general=GENERAL if general is None else general, pairs=pairs or {}, suite=suite,
    )  # fmt: skip


def run_validation(
    work: Work, plan: ValidationPlan, gates: Path | str | None = None
) -> dict[str, Any]:
    """Measures a model against a baseline and holds the numbers against the gates.

    Args:
        work: library, device, seed and reporter.
        plan: what is compared.
        gates: a file of what is tolerated; see `gate_file`.

    Returns:
        The report: `metrics` by the names that gates use, facts by text and task, one entry for
        each gate, `failed` with the names of those that did not pass, and `pass`.

    Raises:
        InputError: a file of gates with a fault, by line; or models of two vocabularies.
        CorpusError: a text or a file of pairs that cannot be read.
    """
    began = time.monotonic()
    tolerated = () if gates is None else read_gates(gates, plan.metrics)
    pairs = _pairs(work, plan)
    model, baseline = work.load_together(plan.model, plan.baseline)
    _check_vocabulary(model, baseline)
    numbers: dict[str, Number] = {}
    texts: dict[str, Any] = {}
    for name in plan.texts:
        checked = check_text(work, plan, name, model, baseline)
        numbers |= checked.numbers
        texts[name] = checked.facts
    tasks: dict[str, Any] = {}
    for task, chosen in pairs.items():
        tasks[task], found = _check_pairs(work, chosen, model, baseline)
        numbers |= {f"{kind}.{task}": number for kind, number in found.items()}
    judged = judge(tolerated, numbers)
    return {
        "model": plan.model,
        "kind": work.kind_of(plan.model),
        "baseline": plan.baseline,
        "suite": plan.suite,
        "pass": all(one.passed for one in judged),
        "failed": [one.gate.metric for one in judged if not one.passed],
        "gates": [one.as_dict() for one in judged],
        "metrics": {name: number.as_dict() for name, number in numbers.items()},
        "texts": texts,
        "pairs": tasks,
        "seconds": time.monotonic() - began,
        "made": work.made(),
    }


def _pairs(work: Work, plan: ValidationPlan) -> dict[str, Sequence[Pair]]:
    """The minimal pairs of every grammar, and of the user's own files."""
    drawn = {
        task: [
            Pair(one.pair.good, one.pair.bad, one.field, one.field, one.couple)
            for one in draw_pairs(task, plan.budgets.pairs, seed=work.seed)
        ]
        for task in GRAMMARS
    }
    return {**drawn, **{name: read_pairs(path).pairs for name, path in plan.pairs.items()}}


def _check_pairs(
    work: Work, pairs: Sequence[Pair], model: HostedModel, baseline: HostedModel
) -> tuple[dict[str, Any], dict[str, Number]]:
    found = pairs_report(pairs, *(judge_pairs(work, one, pairs) for one in (model, baseline)))
    facts = {key: found[key] for key in ("pairs", "baseline_accuracy", "mcnemar", "ties")}
    return facts, {
        "accuracy": Number(found["accuracy"], *found["interval"]["accuracy"]),
        "accuracy_gain": Number(found["difference"], *found["interval"]["difference"]),
    }


def _check_vocabulary(model: HostedModel, baseline: HostedModel) -> None:
    own, other = model.backbone, baseline.backbone
    if own.tokenizer_sha256 != other.tokenizer_sha256 or own.vocab_size != other.vocab_size:
        raise InputError(
            "model and baseline predict other tokens",
            expected=f"the tokenizer of {own.name}", found=f"that of {other.name}",
        )  # fmt: skip
