"""From a hosted module and two kinds of text to a stored gate, and what it does."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

from transplant.calibration.config import GateConfig
from transplant.errors import InputError
from transplant.workflows.artifacts import tensors_of
from transplant.workflows.corpus import read_as_needed, windows_of
from transplant.workflows.update.study import open_hosted

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone
    from transplant.calibration.gate_fit import FittedGate, GateText
    from transplant.evaluation.likelihood import Likelihood
    from transplant.library import HostedName
    from transplant.modules.correction import Correction
    from transplant.text.splits import Splits
    from transplant.workflows.work import Work

GENERAL_CHARS = 4_000_000  # a tenth of it is held out; more where budgets need it


def gate_report(
    work: Work,
    name: str,
    general: str,
    config: GateConfig,
    eval_tokens: int,
    *,
    replace: bool,
) -> dict[str, Any]:
    """Fits the gate, judges it on held-out documents, stores it and returns the report.

    Args:
        work: library, device, seed and reporter.
        name: the module, as `python@ref-gpt2`.
        general: text that belongs to no module.
        config: how it is fitted.
        eval_tokens: held-out tokens of either text.
        replace: whether a gate of that name may go.
    """
    from transplant.calibration.gate_fit import fit_gate
    from transplant.evaluation.interference import perplexities

    named = work.named(name)
    if named.module is not None:
        width = work.module_manifest(named).d_abi
        work.library.claim(("gate",), named.module, named.backbone, width, replace=replace)
    hosted, manifest = open_hosted(work, named)
    corpus = str(manifest.made.get("corpus", manifest.domain))
    if corpus == general:
        raise InputError(f"`general={general!r}` is the domain of {name}", expected="other text")
    backbone, correction = hosted.backbone, hosted.correction
    budgets = {
        "train": config.tokens, "calibration": config.calibration_tokens, "evaluation": eval_tokens,
    }  # fmt: skip
    splits = [
        read_as_needed(work, corpus, made=manifest.made, **budgets),
        read_as_needed(work, general, GENERAL_CHARS, made=None, **budgets),
    ]
    began = time.monotonic()
    with backbone.frozen():
        domain, other = (_text(backbone, side, config) for side in splits)
        fitted = fit_gate(backbone, correction, domain, other, config)
    seconds = time.monotonic() - began
    scores = _held_out(backbone, correction, fitted, splits, config.window, eval_tokens)
    report = {
        "name": name,
        "general": general,
        "ppl": perplexities(scores),
        "memory": fitted.chosen.memory,
        "tried": [dataclasses.asdict(one) for one in fitted.tried],
        "config": dataclasses.asdict(config),
        "split": {corpus: splits[0].fingerprint, general: splits[1].fingerprint},
        "seconds": seconds,
    }
    report |= _worth(scores, report["ppl"]["general"])
    made = work.made(**{key: report[key] for key in ("general", "config", "split", "tried")})
    _store(work, named, hosted, fitted, made, report, replace=replace)
    return report | {"made": made}


def _text(backbone: Backbone, splits: Splits, config: GateConfig) -> GateText:
    from transplant.calibration.gate_fit import GateText

    return GateText(
        windows_of(backbone, splits.train, config.window, config.tokens),
        windows_of(backbone, splits.calibration, config.window, config.calibration_tokens),
    )


def _held_out(
    backbone: Backbone,
    correction: Correction,
    fitted: FittedGate,
    splits: list[Splits],
    window: int,
    tokens: int,
) -> dict[str, dict[str, Likelihood]]:
    """Likelihoods of held-out documents: text -> system -> likelihood."""
    from transplant.evaluation.likelihood import score_documents
    from transplant.modules.gate import Gated

    systems = {"raw": None, "ungated": correction, "gated": Gated(correction, fitted.gate)}
    return {
        text: score_documents(backbone, windows_of(backbone, side.eval, window, tokens), systems)
        for text, side in zip(("domain", "general"), splits, strict=True)
    }


def _worth(
    scores: dict[str, dict[str, Likelihood]], general: dict[str, float]
) -> dict[str, float | None]:
    """What the gate keeps on the domain, and what general text pays, in % of its perplexity."""
    from transplant.evaluation.gated import kept_share

    return {
        "kept": kept_share(**scores["domain"]),
        "general_worsens": 100 * (general["gated"] / general["raw"] - 1),
        "general_worsens_ungated": 100 * (general["ungated"] / general["raw"] - 1),
    }


def _store(
    work: Work,
    name: HostedName,
    hosted: Any,
    fitted: FittedGate,
    made: dict[str, Any],
    report: dict[str, Any],
    *,
    replace: bool,
) -> None:
    """Writes the gate as an artifact of its own, beside the module and the interface it is for."""
    parents = {kind: work.find(name, kind).manifest.sha256 for kind in ("module", "interface")}
    module = work.find(name, "module").manifest
    work.library.store(
        "gate", module.name, tensors_of(fitted.gate), backbone=hosted.backbone,
        domain=module.domain, d_abi=module.d_abi, taps=hosted.correction.taps, made=made,
        parents=parents, replace=replace,
        results={key: report[key] for key in ("ppl", "kept", "general_worsens")},
    )  # fmt: skip
