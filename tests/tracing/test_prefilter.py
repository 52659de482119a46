"""A ranking by gradients that tells how well it agrees."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import spearmanr

from tests.tracing.planted import HEAD, LAYER, alternating, copying_backbone
from transplant.modules.hosted import HostedModel
from transplant.tracing.config import PrefilterConfig, TraceConfig
from transplant.tracing.effects import trace
from transplant.tracing.places import Places
from transplant.tracing.prefilter import prefilter, rank_correlation
from transplant.tracing.targets import Target, parse_targets


def test_what_seems_to_matter_is_measured_exactly(tiny_tokenizer):
    backbone, windows = copying_backbone(tiny_tokenizer), alternating(tiny_tokenizer)
    model, targets = HostedModel("it", backbone), parse_targets("auto", Places(backbone))
    config = TraceConfig(metric="logit-diff")
    found = prefilter(model, windows, targets, config, PrefilterConfig(keep=1, sample=8))
    whole = trace(model, windows, targets, config).per_token()
    assert Target(LAYER, "head", HEAD) in found.exact.targets
    assert set(found.sample) <= set(found.exact.targets) < set(targets)
    for target, effect in zip(found.exact.targets, found.exact.per_token(), strict=True):
        assert float(effect) == pytest.approx(float(whole[targets.index(target)]), abs=1e-6)
    numbers = [targets.index(target) for target in found.sample]
    expected = spearmanr(found.estimates[numbers], whole[numbers]).statistic
    assert found.agreement == pytest.approx(expected)
    assert found.agreement > 0.9


def test_rank_correlation_shares_ranks_between_ties():
    draw = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 30, generator=draw).double().mul(3).round()
    assert rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert rank_correlation(a, a) == pytest.approx(1.0)
    assert rank_correlation(a, -a) == pytest.approx(-1.0)
