"""Changes of logits at the likely tokens alone, against those computed of all tokens."""

from __future__ import annotations

import pytest
import torch

from transplant.alignment.likely import LikelyRows, Vocabularies, likely_tokens
from transplant.alignment.logits import likely_change
from transplant.alignment.token_ways import TokenWays
from transplant.alignment.tokens import SharedTokens
from transplant.backbones.split_head import SplitHead
from transplant.calibration.changes.likely import likely_changes
from transplant.calibration.changes.table import WAYS
from transplant.calibration.changes.way import ChangeWeights, DonorLogits

ROWS, WIDTH, D_DONOR, VOCAB, VOCAB_DONOR, LIKELY = 90, 8, 6, 700, 300, 12
D_BENT = 20


class Scene:
    """Two heads, two vocabularies that share some tokens, and rows of both."""

    def __init__(self, soft_cap=None, *, donor_cap=None, donor_bias=False):
        generator = torch.Generator().manual_seed(5)

        def draw(*shape):
            return torch.randn(*shape, generator=generator)

        self.head = SplitHead(draw(VOCAB, WIDTH), draw(VOCAB), soft_cap)
        self.donor_head = SplitHead(draw(VOCAB_DONOR, D_DONOR))
        self.ids_a = torch.randperm(VOCAB_DONOR, generator=generator)[:200]
        self.ids_b = torch.randperm(VOCAB, generator=generator)[:200]
        self.beginnings = torch.randint(-1, VOCAB_DONOR, (VOCAB,), generator=generator)
        self.beginnings[torch.randperm(VOCAB, generator=generator)[:100]] = -1
        self.beginnings[self.ids_b] = self.ids_a
        images = torch.randint(-1, VOCAB, (VOCAB_DONOR,), generator=generator)
        images[self.ids_a] = self.ids_b
        shared = SharedTokens(self.ids_a, self.ids_b, torch.ones(200).double() / 200, 1.0)
        ways = TokenWays(shared, self.beginnings, images)
        self.between = Vocabularies(self.donor_head, self.head, ways)
        self.h_target, self.h_donor = 1.5 * draw(ROWS, WIDTH), 1.5 * draw(ROWS, D_DONOR)
        self.correction = 0.5 * draw(ROWS, D_DONOR)
        if donor_cap or donor_bias:
            bias = draw(VOCAB_DONOR) if donor_bias else None
            self.donor_head = SplitHead(self.donor_head.weight, bias, donor_cap)
            self.between = Vocabularies(self.donor_head, self.head, ways)

    def dense(self, way, raw_weight, likely):
        logits = self.head.logits(self.h_target, slice(0, VOCAB))
        every = slice(0, VOCAB_DONOR)
        own, taught = (
            self.donor_head.logits(h, every) for h in (self.h_donor, self.h_donor + self.correction)
        )
        donor = DonorLogits(taught - own, lambda: own)
        weights = ChangeWeights(raw_weight=raw_weight, shrink=1e-3)
        spread = WAYS[way].of_all(donor, logits, self.between.ways, weights)
        return likely_change(logits, spread, likely, self.head.soft_cap), spread

    def sparse(self, way, raw_weight, likely, kept, rest=0):
        rows = LikelyRows(
            self.h_donor,
            self.h_target,
            likely_tokens(self.head, self.h_target, kept, self.ids_b),
            likely_tokens(self.donor_head, self.h_donor, kept, self.ids_a),
            likely_tokens(self.donor_head, self.h_donor + self.correction, kept, self.ids_a),
        )
        weights = ChangeWeights(raw_weight=raw_weight, shrink=1e-3)
        return likely_changes(
            rows, self.correction, self.between, WAYS[way], weights, likely=likely, rest=rest
        )


def by_token(found):
    """Weights and changes of the kept tokens, in the order of the tokens."""
    order = found.tokens.argsort(1)
    return tuple(part.gather(1, order) for part in vars(found).values())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("raw_weight", [0.0, 0.3])
@pytest.mark.parametrize("soft_cap", [None, 6.0])
@pytest.mark.parametrize("of_donor", [{}, {"donor_cap": 3.0}, {"donor_bias": True}])
def test_with_all_tokens_kept_it_is_what_is_computed_of_all(way, raw_weight, soft_cap, of_donor):
    scene = Scene(soft_cap, **of_donor)
    dense, _ = scene.dense(way, raw_weight, LIKELY)
    found = scene.sparse(way, raw_weight, LIKELY, VOCAB)
    for ours, theirs in zip(by_token(found), by_token(dense), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("raw_weight", [0.0, 0.3])
def test_the_likely_ones_alone_come_near_it(way, raw_weight):
    scene = Scene()
    dense, spread = scene.dense(way, raw_weight, LIKELY)
    near, rough = (scene.sparse(way, raw_weight, LIKELY, kept) for kept in (10 * LIKELY, 1))

    def missed(found):
        """The weight, in the dense selection, of tokens that were not found."""
        hit = (dense.tokens[:, :, None] == found.tokens[:, None]).any(2)
        return float((dense.weights * ~hit).sum(1).mean())

    assert missed(near) < 0.01 < missed(rough)
    assert int(near.tokens.sort(1).values.diff(dim=1).min()) > 0  # no token twice
    centred = spread.gather(1, near.tokens)
    centred = centred - (near.weights * centred).sum(1, keepdim=True)
    error = (near.weights * (near.change - centred).square()).sum(1).mean()
    assert error < 0.01 * (near.weights * centred.square()).sum(1).mean()


@pytest.mark.parametrize("way", WAYS)
def test_a_few_tokens_stand_for_all_others(way):
    scene = Scene()
    whole, _ = scene.dense(way, 0.0, VOCAB)
    bent = torch.randn(D_BENT, WIDTH, generator=torch.Generator().manual_seed(1))
    moved = bent @ scene.head.weight.T  # what some corrections do to all logits [bent, vocab]

    def curvature(found):
        """The variance of each correction's logits under a row's weights [rows, bent]."""
        logits = moved[:, found.tokens]  # [bent, rows, tokens]
        mean = (logits * found.weights).sum(2, keepdim=True)
        return (found.weights * (logits - mean).square()).sum(2).T

    errors = {
        rest: (curvature(scene.sparse(way, 0.0, LIKELY, VOCAB, rest)) - curvature(whole)).abs()
        for rest in (0, 8, 32)
    }
    assert errors[32].mean() < errors[8].mean() < errors[0].mean()
    assert errors[32].mean() < 0.35 * errors[0].mean()
    found = scene.sparse(way, 0.0, LIKELY, VOCAB, 32)
    torch.testing.assert_close(found.weights.sum(1), torch.ones(ROWS))
    torch.testing.assert_close(found.weights[:, LIKELY:].std(1), torch.zeros(ROWS))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_largest_logits_and_their_sums_are_found(dtype):
    scene = Scene()
    head = SplitHead(scene.head.weight.to(dtype), scene.head.bias.to(dtype))
    dense = head.logits(scene.h_target, slice(0, VOCAB))
    found = likely_tokens(head, scene.h_target, 20, scene.ids_b)
    best = dense.topk(20)
    torch.testing.assert_close(found.logits.sort(1, descending=True).values, best.values.float())
    torch.testing.assert_close(dense.gather(1, found.tokens).float(), found.logits)
    torch.testing.assert_close(found.total, dense.float().logsumexp(1))
    torch.testing.assert_close(found.shared, dense[:, scene.ids_b].float().logsumexp(1))
