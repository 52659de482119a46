"""Several modules through several updates: who decays, who hurts whom."""

from __future__ import annotations

import dataclasses
import statistics
from typing import TYPE_CHECKING, Any

from transplant.calibration.config import GateConfig
from transplant.evaluation.invariance import APPLIED
from transplant.workflows.corpus import read_splits, windows_of
from transplant.workflows.each_once import check_each_once
from transplant.workflows.update.gates import at_the_gate, gates_of
from transplant.workflows.update.study import Studied, Study, UpdateText, open_hosted, update_ppl

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone
    from transplant.modules.correction import Correction
    from transplant.modules.gate import Gate
    from transplant.text.splits import Splits
    from transplant.text.windows import Window
    from transplant.training.update import Updated

GENERAL = "general"
BEFORE = "before"
LEAST_EFFICACY = 0.5
GENERAL_CHARS = 2_000_000  # of general text at least ...
CHARS_PER_HELD_TOKEN = 50  # ... and for each token that is evaluated on: a tenth is held out


def succession_report(
    study: Study, modules: list[str], corpora: list[str], rounds: int, general: str
) -> dict[str, Any]:
    """Updates a backbone again and again, and measures all of its modules after each.

    Args:
        study: the updates and the repairs.
        modules: of one backbone, as `python@ref-gpt2`.
        corpora: what the backbone learns, in turn.
        rounds: updates, one after the other.
        general: text that belongs to no module.
    """
    from transplant.text.limits import stream_chars
    from transplant.training.update import Updated

    check_each_once(study.work, modules, "`modules`", expected="each once")
    original = open_hosted(study.work, modules[0])[0].backbone
    texts = _texts_of_rounds(study, original, corpora, rounds)
    studied = [study.open_module(name, original, texts[0]) for name in modules]
    most = max(GENERAL_CHARS, CHARS_PER_HELD_TOKEN * study.eval_tokens)
    reach = stream_chars(train=GateConfig.tokens, evaluation=study.eval_tokens)
    other = read_splits(study.work, general, most, reach)
    columns = _columns(study, original, studied, other)
    gates, gate_facts = gates_of(study, studied, other)
    first = {one.name: one.checking.correction for one in studied}
    before = _matrices(original, {BEFORE: first}, gates, columns)
    latest = Updated(original, tuple(one.checking.correction.interface for one in studied))
    each = []
    for number, text in enumerate(texts, start=1):
        study.work.reporter.note(f"round {number} of {rounds}: {text.corpus}")
        latest, record = _one_round(study, latest, studied, text, columns, gates, number)
        each.append(record)
    found = {
        applied: [row["efficacy"][name][applied] for row in each for name in modules]
        for applied in APPLIED
    }
    least = {
        applied: min((value for value in values if value is not None), default=None)
        for applied, values in found.items()
    }
    return {
        "modules": modules,
        "backbone": original.name,
        "rounds": each,
        **{f"{key}_before": value[BEFORE] for key, value in before.items()},
        "gates": gate_facts,
        "least_efficacy": least,
        "decay": {name: _decay([row["efficacy"][name] for row in each]) for name in modules},
        "module_sha256": {one.name: _module_hashes(one) for one in studied},
        "backbone_sha256": [original_hash(original), *(row["backbone_sha256"] for row in each)],
        # A round without a ceiling shows nothing of a module: it is no pass.
        "pass": all(value is not None and value >= LEAST_EFFICACY for value in found["zero_shot"]),
        "update": dataclasses.asdict(study.config),
        "corpora": [text.corpus for text in texts],
        "general": general,
        "split": {one.name: one.split for one in studied},
        "made": study.work.made(),
    }


def _texts_of_rounds(
    study: Study, backbone: Backbone, corpora: list[str], rounds: int
) -> list[UpdateText]:
    """Different text for each round: the corpora in turn, each one's documents dealt out."""
    turns = [corpora[number % len(corpora)] for number in range(rounds)]
    parts = {
        corpus: study.read_text(backbone, corpus, turns.count(corpus))
        for corpus in dict.fromkeys(turns)
    }
    return [parts[corpus].pop(0) for corpus in turns]


def _one_round(
    study: Study,
    latest: Updated,
    studied: list[Studied],
    text: UpdateText,
    columns: dict[str, list[Window]],
    gates: dict[str, Gate],
    number: int,
) -> tuple[Updated, dict[str, Any]]:
    from transplant.workflows.update.check import check_update

    seed = study.work.seed + number
    ppl_before = update_ppl(latest.backbone, text)
    study.seconds.clear()
    updated = study.update(latest.backbone, text, studied, seed, latest.interfaces)
    corrections: dict[str, dict[str, Correction]] = {applied: {} for applied in APPLIED}
    ppl, efficacies, reasons = {}, {}, {}
    for one, interface in zip(studied, updated.interfaces, strict=True):
        checking = dataclasses.replace(one.checking, shared=text.shared)
        study.work.reporter.note(f"ceiling of {one.name}")
        with study.step("check"):
            check = check_update(
                checking, updated.backbone, interface, one.before,
                seed=seed, reporter=study.work.reporter,
            )  # fmt: skip
        corrections["zero_shot"][one.name] = check.zero_shot
        corrections["repaired"][one.name] = check.repaired.correction
        ppl[one.name] = check.ppl
        efficacies[one.name] = {
            name: found.ppl and found.ppl.mean for name, found in check.efficacies.items()
        }
        if why := check.efficacies["zero_shot"].no_ceiling:
            reasons[one.name] = why
    with study.step("matrix"):
        matrices = _matrices(updated.backbone, corrections, gates, columns)
    return updated, {
        "round": number,
        "corpus": text.corpus,
        "ppl": ppl,
        "efficacy": efficacies,
        **({"no_ceiling": reasons} if reasons else {}),
        "update_ppl": {"before": ppl_before, "after": update_ppl(updated.backbone, text)},
        **matrices,
        "backbone_sha256": updated.backbone.weights_sha256,
        "seconds": dict(study.seconds),
    }


def _columns(
    study: Study, backbone: Backbone, studied: list[Studied], general: Splits
) -> dict[str, list[Window]]:
    """Held-out windows of general text and of every domain."""
    window = studied[0].checking.recipe.window
    columns = {GENERAL: windows_of(backbone, general.eval, window, study.eval_tokens)}
    return columns | {one.name: list(one.checking.text.eval) for one in studied}


def _matrices(
    backbone: Backbone,
    corrections: dict[str, dict[str, Correction]],
    gates: dict[str, Gate],
    columns: dict[str, list[Window]],
) -> dict[str, Any]:
    """For each way of applying the modules: without their gates, with them, and what these do."""
    from transplant.evaluation.interference import attached_scores
    from transplant.modules.gate import Gated

    plain = {way: attached_scores(backbone, found, columns) for way, found in corrections.items()}
    gated = {
        way: attached_scores(
            backbone, {name: Gated(one, gates[name]) for name, one in found.items()}, columns
        )
        for way, found in corrections.items()
    }
    return {
        "matrix": {way: _matrix(scores, [*gates]) for way, scores in plain.items()},
        "matrix_gated": {way: _matrix(scores, [*gates]) for way, scores in gated.items()},
        "gate": {
            way: at_the_gate(plain[way], gated[way], [*gates], GENERAL) for way in corrections
        },
    }


def matrix_of(
    backbone: Backbone, corrections: dict[str, Any], columns: dict[str, list[Window]]
) -> dict[str, Any]:
    """Perplexities by what is attached and what is read, and what follows from them.

    `general_worsens`: of general text, in %, against no module; `others_worsen`: of each domain
    with all modules attached, in %, against its own alone.
    """
    from transplant.evaluation.interference import attached_scores

    return _matrix(attached_scores(backbone, corrections, columns), [*corrections])


def _matrix(scores: Any, names: list[str]) -> dict[str, Any]:
    from transplant.evaluation.interference import ALL, NONE, perplexities, worsening

    ppl = perplexities(scores)
    attached = [name for name in ppl if name != NONE]
    return {
        "ppl": ppl,
        "general_worsens": {name: worsening(ppl, GENERAL, name, NONE) for name in attached},
        "others_worsen": {name: worsening(ppl, name, ALL, name) for name in names if ALL in ppl},
    }


def _decay(rounds: list[dict[str, float | None]]) -> dict[str, float | None]:
    """The change of efficacy from one round to the next, on average; below 0 it decays.

    None where a round has no ceiling.
    """
    found: dict[str, float | None] = {}
    for applied in APPLIED:
        values = [row[applied] for row in rounds]
        known = [value for value in values if value is not None]
        steps = [b - a for a, b in zip(known, known[1:], strict=False)] or [0.0]
        found[applied] = None if None in values else statistics.mean(steps)
    return found


def _module_hashes(one: Studied) -> dict[str, str]:
    from transplant.backbones.fingerprint import hash_tensors

    after = hash_tensors(one.checking.correction.module.state_dict())
    return {"before": one.manifest.sha256, "after": after}


def original_hash(backbone: Backbone) -> str:
    """Of the weights as they are in memory now: any change to them would show."""
    from transplant.backbones.fingerprint import hash_parameters

    return hash_parameters(backbone.model)
