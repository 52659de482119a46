"""Routing by uncertainty, simulated on the metrics of a model and its baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from transplant.errors import CorpusError, InputError
from transplant.evaluation.intervals import Interval
from transplant.evaluation.routing import (
    Curve,
    Tokens,
    areas,
    coverage,
    regress,
    risk_curve,
    routed_nats,
    tau_within,
)
from transplant.evaluation.uq_config import BUDGET, UNCERTAINTIES
from transplant.evidence.uq import FORMAT
from transplant.files.plain import expand
from transplant.files.strict_json import parse_object

POINTS = 101  # of the curve in a report
LARGEST = 1 << 30  # bytes of a file of metrics


def simulate_route(
    metrics: Path | str,
    *,
    tau: float | None = None,
    by: str = "entropy",
    budget: float = BUDGET,
    seed: int = 0,
) -> dict[str, Any]:
    """What a router would do that sends tokens of an uncertainty above `tau` to the baseline.

    Args:
        metrics: `metrics.json` of `uq()`, with a baseline.
        tau: the threshold, in nats: what is more uncertain goes to the baseline; None: the largest
            one whose regress on every second document is within `budget`, which the other
            documents judge.
        by: `entropy`, predictive_entropy or mutual_information; a router that generates goes by
            entropy.
        budget: nats per token that documents may lose that get worse than under the baseline.
        seed: of the bootstraps.

    Returns:
        The report: risks at `tau`, the curve, areas against random routing with intervals.

    Raises:
        CorpusError: no such file, or one that holds no such metrics.
        InputError: metrics without a baseline, an unknown `by`, a budget below 0, or a threshold
            to choose and a single document.
    """
    if by not in UNCERTAINTIES:
        raise InputError("`by`", expected=f"one of {', '.join(UNCERTAINTIES)}", found=by)
    if not budget >= 0:
        raise InputError("`budget`", expected=">= 0 nats per token", found=budget)
    facts, tokens = read_metrics(metrics, by)
    judged, chosen = tokens, tau
    if chosen is None:
        half, judged = _halves(tokens)
        chosen = tau_within(half, budget)
    return {
        "model": facts["model"],
        "baseline": facts["baseline"],
        "metrics": str(metrics),
        "by": by,
        "tau": chosen if np.isfinite(chosen) else None,
        "chosen": tau is None,
        "budget": budget,
        **_at(judged, chosen, seed),
        "areas": {name: _interval(gain) for name, gain in vars(areas(tokens, seed=seed)).items()},
        "curve": _thinned(risk_curve(tokens)),
        "tokens": len(tokens.nats),
        "documents": len(np.unique(tokens.documents)),
    }


def read_metrics(path: Path | str, by: str) -> tuple[dict[str, Any], Tokens]:
    """The facts of a file of metrics, and its tokens.

    Raises:
        CorpusError: no such file, or one that `uq` did not write.
        InputError: it has no baseline.
    """
    place = expand(path)
    try:
        if place.stat().st_size > LARGEST:
            raise ValueError(f"more than {LARGEST:,} bytes")
        found = parse_object(place.read_bytes())
    except OSError as error:
        raise CorpusError(f"cannot read {path}", found=error.strerror) from error
    except ValueError as error:
        raise CorpusError(f"{path} holds no metrics", found=str(error)) from error
    if found.get("format") != FORMAT or found.get("version") != 1:
        raise CorpusError(
            f"{path} holds no metrics", expected=f"format {FORMAT}, version 1",
            found=f"{found.get('format')}, {found.get('version')}", hint="`uq()` writes them",
        )  # fmt: skip
    if "baseline" not in found:
        raise InputError(
            f"the metrics of {path} know no baseline", hint="`uq(baseline='NAME')` again"
        )
    columns: Any = found.get("tokens")
    try:
        unsure, nats, baseline = values = [
            np.asarray(columns[name], float) for name in (by, "nats", "baseline_nats")
        ]
        documents = np.asarray(columns["document"], np.int64)
        if not all(np.isfinite(column).all() and column.ndim == 1 for column in values):
            raise ValueError("numbers that are not finite")
    except (KeyError, TypeError, ValueError) as error:
        raise CorpusError(f"{path} holds no metrics", found=f"{error}") from error
    return found, Tokens(unsure, nats, baseline, documents)


def _halves(tokens: Tokens) -> tuple[Tokens, Tokens]:
    if len(np.unique(tokens.documents)) < 2:
        raise InputError(
            "a threshold is chosen on some documents and judged on others",
            expected="metrics of 2 documents or more", found=1, hint="`tau`",
        )  # fmt: skip
    return tokens.halves()


def _at(tokens: Tokens, tau: float, seed: int) -> dict[str, Any]:
    """What the router does at a threshold, on tokens that did not choose it."""
    kept = tokens.uncertainty <= tau
    return {
        "coverage": coverage(tokens, tau),
        "nats": {
            "model": float(tokens.nats.mean()),
            "baseline": float(tokens.baseline_nats.mean()),
            "routed": float(routed_nats(tokens, tau).mean()),
            "kept": float(tokens.nats[kept].mean()) if kept.any() else None,
        },
        "regress": _interval(regress(tokens, tau, seed=seed)),
        "judged": {"tokens": len(kept), "documents": len(np.unique(tokens.documents))},
    }


def _interval(value: Interval) -> dict[str, Any]:
    return {"nats": value.mean, "interval": value.as_list()}


def _thinned(curve: Curve) -> list[dict[str, float | None]]:
    """The curve at about equal steps of coverage."""
    wanted = np.linspace(0, 1, POINTS)
    places = np.unique(np.searchsorted(curve.coverage, wanted).clip(max=len(curve.coverage) - 1))
    return [
        {
            "tau": float(curve.taus[i]) if np.isfinite(curve.taus[i]) else None,
            **{
                name: float(getattr(curve, name)[i]) for name in ("coverage", "selective", "routed")
            },
        }
        for i in places
    ]
