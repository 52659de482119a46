"""A head that is known to do the work is found."""

from __future__ import annotations

import pytest
import torch

from tests.tracing.planted import HEAD, LAYER, alternating, copying_backbone
from transplant.modules.hosted import HostedModel
from transplant.tracing.config import TraceConfig
from transplant.tracing.effects import Effects, trace
from transplant.tracing.places import Places
from transplant.tracing.targets import Target, parse_targets


def traced(tokenizer, **options) -> Effects:
    backbone = copying_backbone(tokenizer)
    targets = parse_targets("auto", Places(backbone))
    model = HostedModel(backbone.name, backbone)
    return trace(model, alternating(tokenizer), targets, TraceConfig(**options))


@pytest.mark.parametrize("intervention", ["zero", "mean", "resample"])
@pytest.mark.parametrize("metric", ["nll", "kl", "logit-diff"])
def test_the_head_that_copies_is_ranked_first(intervention, metric, tiny_tokenizer):
    found = traced(tiny_tokenizer, intervention=intervention, metric=metric)
    values = found.per_token()
    best = int(values.argmax())
    assert found.targets[best] == Target(LAYER, "head", HEAD)
    assert values[best] > 1  # positive: without it the model does worse
    assert values.sort().values[-2] < 0.1 * values[best]
    assert found.interval(best, 0.95, 0).low > 1


def test_mean_and_resample_agree_in_sign(tiny_tokenizer):
    mean, resample = (
        traced(tiny_tokenizer, intervention=name).per_token() for name in ("mean", "resample")
    )
    large = mean.abs() > 1e-3
    assert large.sum() >= 1
    assert torch.equal(mean[large].sign(), resample[large].sign())


def test_noise_of_no_size_changes_nothing_and_more_of_it_hurts_more(tiny_tokenizer):
    head = [Target(LAYER, "head", HEAD)]
    backbone = copying_backbone(tiny_tokenizer)
    model, windows = HostedModel(backbone.name, backbone), alternating(tiny_tokenizer)
    found = [
        float(trace(model, windows, head, config).per_token())
        for config in (
            TraceConfig(intervention="noise", noise=size, metric="kl") for size in (1e-6, 0.5, 2.0)
        )
    ]
    assert found[0] == pytest.approx(0.0, abs=1e-4)
    assert found[0] < found[1] < found[2]
