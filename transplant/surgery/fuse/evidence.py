"""Evidence of a fusion: held-out likelihood on each text and on all, beside each module.

Better than the best single on mixed text, and within 2 % of the better single on each module's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from transplant.backbones.view import Backbone
from transplant.evaluation.evidence import difference, in_nats
from transplant.evaluation.from_nats import change_of_perplexity, perplexity_of
from transplant.evaluation.intervals import ratio_interval
from transplant.evaluation.likelihood import Likelihood, score_documents
from transplant.modules.hosted import HostedModel
from transplant.text.windows import Window

MIX = "mix"
WITHIN = 0.02  # of the better single's perplexity, on each text

Scores = dict[str, dict[str, Likelihood]]  # text -> system -> likelihood


def score_hosted(
    backbone: Backbone,
    texts: Mapping[str, Sequence[Window]],
    systems: Mapping[str, HostedModel | None],
) -> Scores:
    """Held-out likelihood of hosted models of one backbone, wherever their change happens.

    A gate is at work in each that has one.

    Args:
        backbone: the one they all are hosted on.
        texts: held-out windows by name.
        systems: by name; `None` is the raw backbone.
    """
    outside = {n: m if m is None or m.correction is None else m.corrector
               for n, m in systems.items()}  # fmt: skip
    scores = {text: score_documents(backbone, windows, outside) for text, windows in texts.items()}
    return {**scores, MIX: {name: _joined([t[name] for t in scores.values()]) for name in systems}}


def _joined(parts: Sequence[Likelihood]) -> Likelihood:
    """The documents of several texts as one text."""
    return Likelihood(torch.cat([p.nats for p in parts]), torch.cat([p.tokens for p in parts]))


@dataclass(frozen=True)
class Gain:
    """A fusion against the best single module on one text."""

    best_single: str
    nats: Mapping[str, object]
    """By how many nats per token the fusion is better, with its 95 % interval over documents."""
    change: float
    """Of the perplexity, as a share: below 0 where the fusion is better."""


def gain_over_best(scores: Mapping[str, Likelihood], singles: Sequence[str], fused: str) -> Gain:
    """Compares with the single module that is the best on this text.

    Args:
        scores: by system.
        singles: the modules, each alone.
        fused: the fusion.
    """
    best = min(singles, key=lambda name: scores[name].per_token)
    change = change_of_perplexity(scores[fused].per_token - scores[best].per_token)
    return Gain(best, in_nats(difference(scores[best], scores[fused])), change)


def verdict(scores: Scores, singles: Sequence[str], fused: str) -> dict[str, object]:
    """Gain on each text and on the mix, and whether each goal is met.

    On the mix the whole interval of the difference to every single must be above 0; on each text
    the perplexity must be at most 2 % above that of the better single.
    """
    gains = {text: gain_over_best(scores[text], singles, fused) for text in scores}
    mixed = scores[MIX]
    above = {n: difference(mixed[n], mixed[fused]) for n in singles}
    met = {text: gain.change <= WITHIN for text, gain in gains.items() if text != MIX}
    return {
        "gain": {text: vars(gain) for text, gain in gains.items()},
        "mix_over_each": {name: in_nats(found) for name, found in above.items()},
        "goals": {
            "mix_better_than_each": all(found.low > 0.0 for found in above.values()),
            "own_text_within_2_percent": met,
        },
    }


def perplexities(scores: Scores) -> dict[str, dict[str, dict[str, object]]]:
    """system -> text -> perplexity with its 95 % interval over documents."""
    systems = next(iter(scores.values())).keys()
    return {name: {text: _perplexity(scores[text][name]) for text in scores} for name in systems}


def _perplexity(found: Likelihood) -> dict[str, object]:
    nats = ratio_interval(found.nats.numpy(), found.tokens.numpy(), resamples=2_000)
    bounds = [perplexity_of(bound) for bound in nats.as_list()]
    return {"ppl": perplexity_of(nats.mean), "interval": bounds}
