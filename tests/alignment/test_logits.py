"""Fitting an output map to changes of logits."""

from __future__ import annotations

import pytest
import torch

from transplant.alignment import logits as logits_file
from transplant.alignment.affine import AffineMap
from transplant.alignment.logits import fit_to_changes, likely_change, spread_change
from transplant.backbones.split_head import capped

ROWS, VOCAB, WIDTH, FEATURES = 60, 40, 6, 4


@pytest.fixture
def draw():
    generator = torch.Generator().manual_seed(3)
    return lambda *shape: torch.randn(*shape, generator=generator)


def nothing():
    return AffineMap(torch.zeros(FEATURES, WIDTH), torch.zeros(WIDTH))


def loss(made, features, wanted, head):
    """What `fit_to_changes` says that it minimises, but for the ridge."""
    reached = (made(features) @ head.T).gather(1, wanted.tokens)
    left = wanted.change - reached
    left = left - (wanted.weights * left).sum(1, keepdim=True)
    return float((wanted.weights * left.square()).sum() / len(features))


def test_a_reachable_change_is_found_whatever_constant_is_added(draw):
    head, logits, features = draw(VOCAB, WIDTH), draw(ROWS, VOCAB), draw(ROWS, FEATURES)
    true = AffineMap(draw(FEATURES, WIDTH), draw(WIDTH))
    wanted = likely_change(logits, true(features) @ head.T + 7.0 * draw(ROWS, 1), VOCAB)
    half = features[:30], features[30:]
    parts = [
        type(wanted)(*(t[rows] for t in (wanted.tokens, wanted.weights, wanted.change)))
        for rows in (slice(0, 30), slice(30, ROWS))
    ]
    found = fit_to_changes(half, parts, head, nothing(), strength=1e-7, iterations=200)
    torch.testing.assert_close(found.weight, true.weight, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(found.bias, true.bias, rtol=1e-2, atol=1e-2)


def test_behind_a_soft_cap_the_change_of_capped_logits_is_found(draw):
    """A small one, to which the cap is a slope for each token; without slopes another is."""
    head, features, cap = draw(VOCAB, WIDTH), draw(ROWS, FEATURES), 2.0
    true = AffineMap(0.01 * draw(FEATURES, WIDTH), 0.01 * draw(WIDTH))
    before = 2.0 * draw(ROWS, VOCAB)
    raw, changed = capped(before, cap), capped(before + true(features) @ head.T, cap)
    wanted = likely_change(raw, changed - raw, VOCAB, cap)
    assert wanted.slopes.min() < 0.1
    bare = type(wanted)(wanted.tokens, wanted.weights, wanted.change)
    off = []
    for some in (wanted, bare):
        options = {"strength": 1e-7, "iterations": 300}
        found = fit_to_changes([features], [some], head, nothing(), **options)
        off.append(float((found.weight - true.weight).norm() / true.weight.norm()))
    assert off[0] < 0.05 < 0.3 < off[1]


def test_it_is_the_minimum_and_a_few_iterations_come_close(draw):
    head, features = draw(VOCAB, WIDTH), draw(ROWS, FEATURES)
    wanted = likely_change(draw(ROWS, VOCAB), draw(ROWS, VOCAB), 12)
    fits = {
        steps: fit_to_changes(
            [features], [wanted], head, nothing(), strength=1e-6, iterations=steps
        )
        for steps in (0, 5, 300)
    }
    start, near, best = (loss(fits[steps], features, wanted, head) for steps in (0, 5, 300))
    assert start - near > 0.8 * (start - best) > 0
    for _ in range(20):
        moved = AffineMap(
            fits[300].weight + 0.05 * draw(FEATURES, WIDTH), fits[300].bias + 0.05 * draw(WIDTH)
        )
        assert loss(moved, features, wanted, head) > best


def test_leading_directions_of_wide_features_come_as_near_as_all_of_them(draw, monkeypatch):
    """The features' variance falls off, as that of hidden states does."""
    width = 40
    head = draw(VOCAB, WIDTH)
    features = draw(400, width) * 3.0 / torch.arange(1.0, width + 1)
    wanted = likely_change(draw(400, VOCAB), draw(400, VOCAB), 12)
    start = AffineMap(torch.zeros(width, WIDTH), torch.zeros(WIDTH))
    halves = [
        type(wanted)(*(t[rows] for t in (wanted.tokens, wanted.weights, wanted.change)))
        for rows in (slice(0, 150), slice(150, 400))
    ]

    def fit(**limits):
        for name, value in limits.items():
            monkeypatch.setattr(logits_file, name, value)
        return fit_to_changes(
            features.split([150, 250]), halves, head, start, strength=0.1, iterations=5
        )

    exact, near = fit(), fit(EXACT=8, LEADING=10)
    assert (near.weight - exact.weight).norm() < 1e-2 * exact.weight.norm()
    rough = fit(LEADING=1, SWEEPS=1)
    assert (rough.weight - exact.weight).norm() > 1e-2 * exact.weight.norm()


def test_a_strong_ridge_stays_at_the_start(draw):
    head, features = draw(VOCAB, WIDTH), draw(ROWS, FEATURES)
    wanted = likely_change(draw(ROWS, VOCAB), draw(ROWS, VOCAB), 12)
    start = AffineMap(draw(FEATURES, WIDTH), draw(WIDTH))
    found = fit_to_changes([features], [wanted], head, start, strength=1e6, iterations=5)
    torch.testing.assert_close(found.weight, start.weight, rtol=1e-3, atol=1e-3)


def test_a_row_without_any_choice_asks_for_nothing(draw):
    head, features = draw(VOCAB, WIDTH), draw(ROWS, FEATURES)
    logits = torch.full((ROWS, VOCAB), -200.0)
    logits[:, 3] = 200.0
    wanted = likely_change(logits, draw(ROWS, VOCAB), 9)
    found = fit_to_changes([features], [wanted], head, nothing(), strength=0.1, iterations=5)
    torch.testing.assert_close(found.weight, torch.zeros(FEATURES, WIDTH))


def test_a_position_cares_for_its_likely_tokens_alone(draw):
    logits, change = draw(ROWS, VOCAB), draw(ROWS, VOCAB)
    logits[:, 20:] = -30.0
    wanted = likely_change(logits, change, 20)
    assert int(wanted.tokens.max()) < 20
    torch.testing.assert_close(wanted.weights.sum(1), torch.ones(ROWS))
    assert float((wanted.weights * wanted.change).sum(1).abs().max()) < 1e-5


def test_a_token_gets_the_change_of_the_one_that_it_begins_with_or_the_expected_one():
    beginnings = torch.tensor([-1, 0, 0, 2])
    change = torch.tensor([[4.0, 99.0, -2.0]])
    probabilities = torch.tensor([[0.1, 0.5, 0.2, 0.2]])
    expected = (0.7 * 4.0 + 0.2 * -2.0) / 0.9
    spread = spread_change(change, probabilities, beginnings)
    torch.testing.assert_close(spread, torch.tensor([[expected, 4.0, 4.0, -2.0]]))
