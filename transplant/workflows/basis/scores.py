"""Held-out losses of a backbone with whatever is at work in it, document by document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from transplant.evaluation.intervals import paired_bootstrap

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone
    from transplant.evaluation.likelihood import Likelihood
    from transplant.text.windows import Window
    from transplant.workflows.work import Work


def score_text(
    work: Work, backbone: Backbone, texts: Mapping[str, Sequence[Window]]
) -> dict[str, Likelihood]:
    """The likelihood of each text, by name."""
    from transplant.evaluation.likelihood import score_documents

    found: dict[str, Likelihood] = {}
    for name, windows in texts.items():
        with work.reporter.progress(f"scoring {backbone.name}: {name}") as progress:
            scored = score_documents(backbone, windows, {"it": None}, progress=progress)
        found[name] = scored["it"]
    return found


def change(before: Likelihood, after: Likelihood) -> dict[str, Any]:
    """Losses in nats per token and their difference, with a paired interval over documents."""
    interval = paired_bootstrap(after.nats.numpy(), before.nats.numpy(), before.tokens.numpy())
    return {
        "raw": before.per_token, "adapted": after.per_token, "difference": interval.mean,
        "interval": interval.as_list(), "ppl": {"raw": before.perplexity,
        "adapted": after.perplexity},
    }  # fmt: skip
