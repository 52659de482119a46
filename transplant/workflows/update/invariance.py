"""Effect of an update on a module, over seeds, as a report."""

from __future__ import annotations

import dataclasses
import statistics
from typing import TYPE_CHECKING, Any

from transplant.workflows.update.study import Studied, Study, UpdateText, open_hosted, update_ppl

if TYPE_CHECKING:
    from transplant.evaluation.invariance import Efficacy
    from transplant.workflows.update.check import UpdateCheck


def invariance_report(study: Study, module: str, corpus: str, seeds: int) -> dict[str, Any]:
    """Updates a backbone and measures what its module is worth on it: zero-shot and repaired.

    Args:
        study: the updates and the repairs.
        module: the module, as `python@ref-gpt2`.
        corpus: what the backbone learns.
        seeds: updates, each with a seed of its own.
    """
    from transplant.evaluation.invariance import ZERO_SHOT, over_seeds, verdict
    from transplant.workflows.update.check import REPAIRED

    backbone = open_hosted(study.work, module)[0].backbone
    text = study.read_text(backbone, corpus)[0]
    studied = study.open_module(module, backbone, text)
    ppl_before = update_ppl(backbone, text)
    first = study.work.seed
    each: list[dict[str, Any]] = []
    weighed: list[dict[str, Efficacy]] = []
    for seed in range(first, first + seeds):
        one, efficacies = _one_seed(study, studied, text, ppl_before, seed)
        each.append(one)
        weighed.append(efficacies)
    found = {name: over_seeds([one[name] for one in weighed]) for name in weighed[0]}
    return {
        "module": module,
        "backbone": backbone.name,
        "kind": study.config.kind,
        "stability": study.config.stability,
        "seeds": [one["seed"] for one in each],
        "ppl": _means([one["ppl"] for one in each]),
        **found[ZERO_SHOT].as_dict(),
        "verdict": verdict(found[ZERO_SHOT].ppl),
        "repaired": found[REPAIRED].as_dict(),
        "controls": {
            name: value.as_dict()
            for name, value in found.items()
            if name not in (ZERO_SHOT, REPAIRED)
        },
        "update_ppl": _means([one["update_ppl"] for one in each]),
        "z_off": _means([one["z_off"] for one in each]),
        "native_matched": all(one["native_matched"] for one in each),
        "repair_speedup": statistics.mean(one["repair_speedup"] for one in each),
        "seconds": _means([one["seconds"] for one in each]),
        "module_sha256": each[-1]["module_sha256"],
        "backbone_sha256": each[-1]["backbone_sha256"],
        "each": each,
        "update": {
            **dataclasses.asdict(study.config), "corpus": corpus, "split": text.split,
            "tokens": sum(map(len, text.train)),
        },
        "repair": dataclasses.asdict(study.repair),
        "recipe": dataclasses.asdict(studied.checking.recipe),
        "corpus": studied.corpus,
        "split": studied.split,
        "made": study.work.made(),
    }  # fmt: skip


def _one_seed(
    study: Study, studied: Studied, text: UpdateText, ppl_before: float, seed: int
) -> tuple[dict[str, Any], dict[str, Efficacy]]:
    from transplant.backbones.fingerprint import hash_parameters, hash_tensors
    from transplant.workflows.update.check import check_update

    checking, module = studied.checking, studied.checking.correction.module
    hashes = {"before": hash_parameters(checking.original.model)}
    study.seconds.clear()
    updated = study.update(checking.original, text, [studied], seed)
    with study.step("check"):
        check = check_update(
            checking, updated.backbone, updated.interfaces[0], studied.before,
            seed=seed, reporter=study.work.reporter,
        )  # fmt: skip
    hashes["original_after"] = hash_parameters(checking.original.model)
    hashes["after"] = updated.backbone.weights_sha256
    record = {
        "seed": seed,
        "ppl": check.ppl,
        "efficacy": {name: found.as_dict() for name, found in check.efficacies.items()},
        "update_ppl": {"before": ppl_before, "after": update_ppl(updated.backbone, text)},
        "repair_choice": {
            "ridge": check.repaired.ridge,
            "ridge_out": check.repaired.ridge_out,
            "tried": [dataclasses.asdict(one) for one in check.repaired.tried],
        },
        "z_off": {"before": check.repaired.z_off_before, "repaired": check.repaired.z_off_after},
        **_cost(check, study),
        "module_sha256": {
            "before": studied.manifest.sha256,
            "after": hash_tensors(module.state_dict()),
        },
        "backbone_sha256": hashes,
    }
    return record, check.efficacies


def _cost(check: UpdateCheck, study: Study) -> dict[str, Any]:
    """What the update, the repair and the native took."""
    return {
        "repair_speedup": check.speedup,
        "repair_rows": check.repaired.rows,
        "native_matched": check.match_seconds is not None,
        "seconds": {
            "update": study.seconds["update"],
            "update_per_step": study.seconds["update"] / study.config.steps,
            "repair": check.repair_seconds,
            "native": check.native_seconds,
            "native_per_step": check.native_seconds / check.native_steps,
            "native_to_match": check.native_seconds
            if check.match_seconds is None
            else check.match_seconds,
        },
    }


def _means(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.mean(row[name] for row in rows) for name in rows[0]}
