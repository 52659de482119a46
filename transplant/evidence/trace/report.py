"""The report of a trace: targets by their effect, and how each was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from transplant.evaluation.intervals import Interval
    from transplant.evidence.trace.spec import TraceJob
    from transplant.modules.hosted import HostedModel
    from transplant.tracing.config import TraceConfig
    from transplant.tracing.effects import Effects
    from transplant.tracing.patching import Patched
    from transplant.tracing.places import Places
    from transplant.tracing.prefilter import Prefiltered
    from transplant.tracing.targets import Target

SIGN = "positive: the model does worse without the target's own value"
UNITS = {
    "nll": "nats per token", "kl": "nats per token", "logit-diff": "logits per token",
}  # fmt: skip


def head_of_report(job: TraceJob, hosted: HostedModel, places: Places) -> dict[str, Any]:
    """What is known before anything runs."""
    patching = job.pairs is not None
    unit = UNITS[job.config.metric]
    return {
        "model": job.model,
        "backbone": hosted.backbone.name,
        "family": hosted.backbone.family,
        "weights_sha256": hosted.backbone.weights_sha256,
        "blocks": places.layers,
        "heads": places.heads,
        "mode": "patching" if patching else "ablation",
        "asked": job.targets,
        "intervention": "swap of clean and corrupted" if patching else job.config.intervention,
        "metric": job.config.metric,
        "unit": unit.replace(" per token", " at the end of the text") if patching else unit,
        "sign": SIGN,
    }


def ablation_rows(
    effects: Effects, config: TraceConfig, prefiltered: Prefiltered | None = None
) -> dict[str, Any]:
    """The ranking of an ablation, largest effect first; estimates where nothing was measured."""
    exact = effects.per_token().tolist()
    measured = {
        target: {
            "effect": exact[index],
            "interval": effects.interval(index, config.level, config.seed).as_list(),
            "measured": True,
        }
        for index, target in enumerate(effects.targets)
    }
    targets = effects.targets if prefiltered is None else prefiltered.targets
    rows: list[dict[str, Any]] = []
    for index, target in enumerate(targets):
        row = {**_named(target), **measured.get(target, {})}
        if prefiltered is not None:
            row["estimate"] = float(prefiltered.estimates[index])
        if target not in measured:
            row |= {"effect": row["estimate"], "interval": None, "measured": False}
        rows.append(row)
    found: dict[str, Any] = {"predicted": int(effects.tokens.sum()), "passes": effects.passes}
    if prefiltered is not None:
        found["prefilter"] = {
            "measured": len(measured),
            "sample": len(prefiltered.sample),
            "agreement": prefiltered.agreement,
        }
    return {**found, "targets": _ranked(rows, "effect")}


def patching_rows(
    found: Patched, config: TraceConfig, tokenizer: PreTrainedTokenizerBase
) -> dict[str, Any]:
    """The ranking of a patching, by what is lost where the corrupted value comes in."""
    rows: list[dict[str, Any]] = []
    for index, target in enumerate(found.targets):
        row = _named(target)
        for way in ("noising", "denoising"):
            share = found.share(way, index, config.level, config.seed)
            effects = getattr(found, way)[index]
            row |= {way: float(effects.mean()), f"{way}_share": _interval(share)}
        row["effect"] = row["noising"]
        rows.append(row)
    return {
        "count": len(found.pairs),
        "left_out": len(found.left_out),
        "total": float(found.total.mean()),
        "answers": [
            [tokenizer.decode([answer]), tokenizer.decode([foil])]
            for answer, foil in found.answers[:3]
        ],
        "targets": _ranked(rows, "effect"),
    }


def _named(target: Target) -> dict[str, Any]:
    return {
        "target": target.name, "kind": target.kind, "layer": target.layer, "head": target.head
    }  # fmt: skip


def _ranked(rows: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: -row[key])


def _interval(interval: Interval | None) -> dict[str, Any] | None:
    if interval is None:
        return None
    return {"share": interval.mean, "interval": interval.as_list()}
