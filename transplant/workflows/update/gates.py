"""The gates of the modules that a succession studies: stored ones, or fitted on the way."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from transplant.calibration.config import GateConfig
from transplant.text.windows import first_windows
from transplant.workflows.corpus import windows_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from transplant.evaluation.likelihood import Likelihood
    from transplant.modules.gate import Gate
    from transplant.text.splits import Splits
    from transplant.workflows.update.study import Studied, Study

    Scores = Mapping[str, Mapping[str, Likelihood]]

STORED, FITTED = "stored", "fitted"


def gates_of(
    study: Study, studied: Sequence[Studied], general: Splits
) -> tuple[dict[str, Gate], dict[str, dict[str, Any]]]:
    """The gate of every module, on its backbone as it was, and where each comes from."""
    gates: dict[str, Gate] = {}
    facts: dict[str, dict[str, Any]] = {}
    for one in studied:
        if one.gate is not None:
            gates[one.name], facts[one.name] = one.gate, {"from": STORED}
        else:
            gates[one.name], facts[one.name] = _fit(study, one, general)
    return gates, facts


def _fit(study: Study, one: Studied, general: Splits) -> tuple[Gate, dict[str, Any]]:
    from transplant.calibration.gate_fit import GateText, fit_gate

    config = GateConfig(window=one.checking.recipe.window)
    backbone, text = one.checking.original, one.checking.text

    def other(documents: Sequence[Any], tokens: int) -> Any:
        return windows_of(backbone, documents, config.window, tokens)

    study.work.reporter.note(f"{one.name} has no gate: fitting one")
    with study.step("gate"):
        fitted = fit_gate(
            backbone,
            one.checking.correction,
            GateText(
                first_windows(text.train, config.tokens),
                first_windows(text.calibration, config.calibration_tokens),
            ),
            GateText(
                other(general.train, config.tokens),
                other(general.calibration, config.calibration_tokens),
            ),
            config,
        )
    return fitted.gate, {"from": FITTED, **dataclasses.asdict(fitted.chosen)}


def at_the_gate(
    open_to_all: Scores, gated: Scores, names: Sequence[str], general: str
) -> dict[str, dict[str, float | None]]:
    """What each gate spares and keeps, from the matrices without it and with it.

    `general_worsens` and `general_worsens_ungated` are in %; `kept` is the share of the module's
    gain on its own domain, in nats; None where that gain is none.

    Args:
        open_to_all: scores by what is attached and what is read, without gates.
        gated: the same with them.
        names: of the modules, and of their domains.
        general: of the general text.
    """
    from transplant.evaluation.gated import kept_share
    from transplant.evaluation.interference import NONE, perplexities, worsening

    plain, shut = perplexities(open_to_all), perplexities(gated)
    return {
        name: {
            "general_worsens": worsening(shut, general, name, NONE),
            "general_worsens_ungated": worsening(plain, general, name, NONE),
            "kept": kept_share(open_to_all[NONE][name], open_to_all[name][name], gated[name][name]),
        }
        for name in names
    }
