"""Perplexities of losses that no float holds are infinite, and no error after the work."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from transplant.evaluation.from_nats import change_of_perplexity, perplexity_of
from transplant.evaluation.likelihood import Likelihood
from transplant.evaluation.perplexity import TextScores
from transplant.files.json_text import to_json
from transplant.surgery.fuse.evidence import MIX, perplexities, verdict


def test_a_loss_beyond_floats_is_an_infinite_perplexity():
    assert perplexity_of(2.5) == math.exp(2.5)  # control: as everywhere
    assert change_of_perplexity(-0.1) == math.expm1(-0.1)
    assert perplexity_of(709.0) < math.inf
    assert (
        perplexity_of(710.0) == change_of_perplexity(710.0) == perplexity_of(math.inf) == math.inf
    )
    assert math.isnan(perplexity_of(math.nan))


@pytest.mark.parametrize(("per_token", "finite"), [(3.0, True), (800.0, False)])
def test_whatever_reports_perplexities_reports_that(per_token, finite):
    tokens = torch.tensor([10.0, 20.0], dtype=torch.float64)
    found = Likelihood(tokens * per_token, tokens)
    scores = TextScores((0, 1), found.nats.numpy(), tokens.numpy(), np.asarray([30.0, 60.0]))
    rows = scores.rows([SimpleNamespace(source="a"), SimpleNamespace(source="b")])
    texts = {name: {"one": Likelihood(tokens, tokens), "all": found} for name in ("a", MIX)}
    told = [
        found.perplexity, scores.summary()["ppl"]["mean"], rows[0]["ppl"],
        perplexities(texts)["all"]["a"]["ppl"],
    ]  # fmt: skip
    assert told == pytest.approx([math.exp(per_token) if finite else math.inf] * 4)
    change = verdict(texts, ["one"], "all")["gain"]["a"]["change"]
    assert change == pytest.approx(math.expm1(per_token - 1) if finite else math.inf)
    assert ("null" in to_json(told, 0)) is not finite
