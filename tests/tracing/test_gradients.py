"""Estimates by gradients, against exact effects and against differences of small steps."""

from __future__ import annotations

import pytest
import torch

from tests.tiny import FAMILIES, tiny_backbone
from tests.tracing.planted import HEAD, LAYER, alternating, copying_backbone
from transplant.errors import InputError
from transplant.modules.hosted import HostedModel
from transplant.tracing.config import TraceConfig
from transplant.tracing.effects import Reading, trace
from transplant.tracing.gradients import estimate
from transplant.tracing.places import Places
from transplant.tracing.targets import parse_targets

WITHOUT_WEIGHTS = ("layercake", "phi")
SMOOTH = [family for family in FAMILIES if family not in ("mixtral", "qwen3_moe")]
"""Families without experts: which of these are chosen jumps."""


def both(backbone, windows, names, *, fix=True, tokens=64, **options):
    """Estimates and exact effects, both [targets]."""
    model, targets = HostedModel("it", backbone), parse_targets(names, Places(backbone))
    config = TraceConfig(documents=len(windows), **options)
    found = estimate(Reading(model), windows, targets, config, tokens, fix=fix)
    return found, trace(model, windows, targets, config).per_token()


@pytest.mark.parametrize("family", SMOOTH)
def test_small_changes_have_the_effect_that_their_gradient_says(family, tiny_tokenizer, windows):
    names = "auto,attn:1,layer:0.resid"
    if family != "phi":
        names += ",value:*"
    if family not in WITHOUT_WEIGHTS:
        names += ",query:*,key:*"
    backbone = tiny_backbone(family, tiny_tokenizer)
    found, exact = both(backbone, windows, names, intervention="noise", noise=1e-3)
    assert exact.abs().max() > 5e-6
    assert found == pytest.approx(exact, abs=0.06 * float(exact.abs().max()))


@pytest.mark.parametrize("metric", ["nll", "logit-diff"])
@pytest.mark.parametrize("intervention", ["mean", "resample"])
def test_batches_of_gradients_are_those_of_the_whole(metric, intervention, tiny_tokenizer, windows):
    backbone = tiny_backbone("gemma2", tiny_tokenizer)
    options = {"metric": metric, "intervention": intervention}
    few, _ = both(backbone, windows, "auto", tokens=40, **options)
    all_at_once, _ = both(backbone, windows, "auto", tokens=10_000, **options)
    assert few == pytest.approx(all_at_once, abs=1e-6)


def test_the_planted_head_is_estimated_first(tiny_tokenizer):
    backbone, windows = copying_backbone(tiny_tokenizer), alternating(tiny_tokenizer)
    # Not by nll: without a doubt of the next token, it has no gradient.
    found, exact = both(backbone, windows, "auto", metric="logit-diff")
    assert int(found.argmax()) == int(exact.argmax())


def test_saturated_attention_hides_queries_from_the_plain_gradient(tiny_tokenizer):
    backbone, windows = copying_backbone(tiny_tokenizer), alternating(tiny_tokenizer)
    with torch.no_grad():  # ten times as sharp: a change of a query moves no weight at first
        backbone.model.transformer.h[LAYER].attn.c_attn.weight[:, HEAD * 32 : HEAD * 32 + 32] *= 10
    names = f"query:{LAYER}.{HEAD},key:{LAYER}.{HEAD}"
    options = {"intervention": "zero", "metric": "logit-diff"}
    found, exact = both(backbone, windows, names, **options)
    plain, _ = both(backbone, windows, names, fix=False, **options)
    assert exact.min() > 1
    assert plain.abs().max() < 0.02 * exact.min()
    assert found == pytest.approx(exact, rel=0.7)


def test_shared_keys_count_for_all_of_their_queries(tiny_tokenizer, windows):
    backbone = tiny_backbone("llama", tiny_tokenizer)
    names = [t.name for t in parse_targets("key:*,query:*,value:*", Places(backbone))]
    assert sum(name.startswith("key") for name in names) == 2 * 2
    assert sum(name.startswith("query") for name in names) == 2 * 4
    found, _ = both(backbone, windows, "key:*", intervention="zero")
    assert (found.abs() > 1e-6).all()


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_curvature_is_what_a_change_costs_on_average(family, tiny_tokenizer, windows):
    backbone = tiny_backbone(family, tiny_tokenizer)
    options = {"intervention": "noise", "noise": 0.1}
    draws = [both(backbone, windows, "auto", metric="kl", seed=n, **options) for n in range(4)]
    found, exact = (torch.stack(side).mean(0) for side in zip(*draws, strict=True))
    assert (exact > 0).all()
    assert found == pytest.approx(exact, rel=0.5)
    assert found.sum() == pytest.approx(exact.sum(), rel=0.25)


def test_attention_that_tells_no_weights_is_refused(tiny_tokenizer, windows):
    backbone = tiny_backbone("layercake", tiny_tokenizer)
    with pytest.raises(InputError, match="does not tell its weights"):
        both(backbone, windows, "query:0.0")
