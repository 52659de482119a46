"""The combiners by themselves: weights at each position, 0 at first."""

from __future__ import annotations

import pytest
import torch

from transplant.errors import ShapeError
from transplant.surgery.fuse.combiner import fused_change
from transplant.surgery.fuse.config import COMBINER_NAMES, FuseConfig
from transplant.surgery.fuse.mean import MeanCombiner
from transplant.surgery.fuse.table import COMBINERS, make_combiner

pytestmark = pytest.mark.bits

MEMBERS, WIDTH = 3, 12


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def inputs():
    return drawn(2, 5, WIDTH), drawn(2, 5, MEMBERS, WIDTH, seed=1)


def test_the_table_is_what_the_options_name():
    assert tuple(COMBINERS) == COMBINER_NAMES


@pytest.mark.parametrize("name", COMBINER_NAMES)
def test_weights_are_0_at_first_and_positions_keep_to_themselves(name, inputs):
    hidden, deltas = inputs
    combiner = make_combiner(name, MEMBERS, WIDTH)
    assert combiner(hidden, deltas).abs().max() == 0
    with torch.no_grad():
        for number, parameter in enumerate(combiner.parameters()):
            parameter.add_(drawn(*parameter.shape, seed=number))
    weights = combiner(hidden, deltas)
    assert weights.shape == (2, 5, MEMBERS)
    torch.testing.assert_close(combiner(hidden[:, 2], deltas[:, 2]), weights[:, 2])
    assert not torch.allclose(weights[:, 2], weights[:, 3], atol=1e-3)  # what is read has a say
    expected = sum(weights[..., n, None] * deltas[..., n, :] for n in range(MEMBERS))
    torch.testing.assert_close(fused_change(combiner, hidden, deltas), expected)


def test_attention_reads_the_deltas_and_does_not_care_for_their_order(inputs):
    hidden, deltas = inputs
    combiner = make_combiner("attention", MEMBERS, WIDTH, seed=2)
    with torch.no_grad():
        combiner.query.add_(drawn(*combiner.query.shape))
        combiner.opening.fill_(1.5)
    weights = combiner(hidden, deltas)
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(combiner(hidden, deltas[..., order, :]), weights[..., order])
    assert not torch.allclose(combiner(hidden, deltas.roll(1, 0)), weights, atol=1e-3)
    # The null slot takes its share: what is left for the modules is below the whole.
    assert (weights.sum(-1) < 1.5).all()
    with torch.no_grad():
        combiner.bias[-1] = 40.0
    assert combiner(hidden, deltas).abs().max() < 1e-6


def test_the_gate_does_not_read_the_deltas(inputs):
    hidden, deltas = inputs
    combiner = make_combiner("gate", MEMBERS, WIDTH)
    with torch.no_grad():
        combiner.weight.add_(drawn(*combiner.weight.shape))
        combiner.opening.fill_(1.0)
    assert torch.equal(combiner(hidden, deltas), combiner(hidden, 0 * deltas))


def test_the_mean_is_the_mean(inputs):
    hidden, deltas = inputs
    combiner = MeanCombiner(MEMBERS, WIDTH)
    torch.testing.assert_close(fused_change(combiner, hidden, deltas), deltas.mean(-2))
    assert not list(combiner.parameters())


def test_the_same_seed_draws_the_same_and_stored_tensors_are_checked():
    first, again, other = (make_combiner("attention", 2, WIDTH, seed) for seed in (1, 1, 2))
    assert torch.equal(first.key, again.key)
    assert not torch.equal(first.key, other.key)
    other.load_own(first.state_dict())
    assert torch.equal(first.key, other.key)
    with pytest.raises(ShapeError, match="combiner: bias"):
        make_combiner("attention", 3, WIDTH).load_own(first.state_dict())
    with pytest.raises(ShapeError, match="combiner: bias"):
        make_combiner("gate", 2, WIDTH).load_own(first.state_dict())


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"window": 1}, {"learning_rate": 0.0}])
def test_a_recipe_that_cannot_be_is_refused(wrong):
    from transplant.errors import InputError

    with pytest.raises(InputError):
        FuseConfig(**wrong)
