"""The push-forward between two vocabularies: what it conserves, and what it makes of a change."""

from __future__ import annotations

import pytest
import torch

from transplant.alignment.push_forward import class_sums, firsts, push_forward, push_matrix
from transplant.alignment.token_ways import TokenWays, token_ways
from transplant.alignment.tokens import SharedTokens, token_bytes
from transplant.calibration.changes import begins_with, lacking
from transplant.calibration.changes import push_forward as pushing
from transplant.calibration.changes.way import ChangeWeights, DonorLogits
from transplant.text.tokenizers import train_tokenizer

ROWS = 7


@pytest.mark.parametrize("seed", range(20))
def test_m_conserves_mass_whatever_token_goes_where(seed):
    draw = torch.Generator().manual_seed(seed)
    donor, target = (int(torch.randint(1, 60, (1,), generator=draw)) for _ in range(2))
    images = torch.randint(-1, target, (donor,), generator=draw)
    matrix = push_matrix(images, target)
    dense = matrix.to_dense()
    assert torch.equal(dense.sum(0), torch.ones(donor).double())
    assert {*dense.unique().tolist()} <= {0.0, 1.0}
    p = torch.rand(ROWS, donor, generator=draw, dtype=torch.float64).softmax(1)
    pushed = push_forward(p, images, target)
    torch.testing.assert_close(pushed, (matrix @ p.T).T, rtol=0, atol=1e-15)
    assert float((pushed.sum(1) - 1).abs().max()) < 1e-12
    lost = push_forward(p, images, target)[:, :-1].sum(1)
    assert bool((images < 0).any()) == bool((lost < 1 - 1e-12).any())  # the remainder is of use


@pytest.mark.parametrize("seed", range(5))
def test_sums_of_classes_are_those_of_a_loop(seed):
    draw = torch.Generator().manual_seed(seed)
    classes = torch.randint(0, 9, (ROWS, 30), generator=draw)
    wanted = torch.randint(0, 12, (ROWS, 11), generator=draw)
    parts = torch.rand(2, ROWS, 30, generator=draw)
    found = class_sums(classes, parts, wanted)
    member = (classes[:, None] == wanted[:, :, None]).float()
    torch.testing.assert_close(found, (member * parts[:, :, None]).sum(-1))
    seen = firsts(classes)
    for row, kept in zip(classes.tolist(), seen.tolist(), strict=True):
        assert [row.index(token) == n for n, token in enumerate(row)] == kept


@pytest.fixture(scope="module")
def tokenizers(tiny_texts):
    return {
        "coarse": train_tokenizer("bpe", tiny_texts, 420, context=128),
        "fine": train_tokenizer("bpe", tiny_texts, 300, context=128),
        "unigram": train_tokenizer("unigram", tiny_texts, 340, context=128),
    }


def ways_of(tokenizers, donor, target):
    ours, theirs = tokenizers[donor], tokenizers[target]
    return token_ways(ours, theirs, {}, (len(ours) + 2, len(theirs)))  # heads are often padded


def draw_logits(ways, seed=0):
    draw = torch.Generator().manual_seed(seed)
    own = 2 * torch.randn(ROWS, len(ways.images), generator=draw)
    change = torch.randn(ROWS, len(ways.images), generator=draw)
    logits = torch.randn(ROWS, len(ways.beginnings), generator=draw)
    return DonorLogits(change, lambda: own), logits


def test_a_token_goes_to_the_longest_that_it_begins_with(tokenizers):
    ways = ways_of(tokenizers, "coarse", "unigram")
    named, theirs = (token_bytes(tokenizers[name]) for name in ("coarse", "unigram"))
    for number, raw in named.items():
        image = int(ways.images[number])
        begun = [len(piece) for piece in theirs.values() if raw.startswith(piece)]
        assert image >= 0
        assert len(theirs[image]) == max(begun)
        assert raw.startswith(theirs[image])
    assert ways.images[len(tokenizers["coarse"]) :].tolist() == [-1, -1]


def test_between_equal_vocabularies_it_is_the_identity(tokenizers):
    ways = ways_of(tokenizers, "fine", "fine")
    ordinary = torch.tensor([*token_bytes(tokenizers["fine"])])
    assert torch.equal(ways.images[ordinary], ordinary)
    assert ways.one_vocabulary
    assert not ways_of(tokenizers, "coarse", "fine").one_vocabulary
    assert not ways_of(tokenizers, "fine", "coarse").one_vocabulary
    donor, logits = draw_logits(ways)
    mixed = ChangeWeights(raw_weight=0.0)
    pushed = pushing.of_all(donor, logits, ways, mixed)[:, ordinary]
    shifted = pushed - begins_with.of_all(donor, logits, ways, mixed)[:, ordinary]
    assert float(shifted.std(1).max()) < 1e-4  # one number a row, which changes no probability
    assert float(pushed.std(1).min()) > 0.5


def test_what_the_donor_splits_gets_the_first_factor(tokenizers):
    ways = ways_of(tokenizers, "fine", "coarse")
    donor, logits = draw_logits(ways)
    longer = ~ways.reached & (ways.beginnings >= 0)
    assert int(longer.sum()) > 50
    found = pushing.of_all(donor, logits, ways, ChangeWeights())
    own = donor.own()
    ratio = (own + donor.change).log_softmax(-1) - own.log_softmax(-1)
    expected = ratio[:, ways.beginnings[longer]]
    torch.testing.assert_close(found[:, longer], expected, rtol=1e-4, atol=1e-4)


def test_what_several_tokens_begin_with_gets_the_change_of_their_sum(tokenizers):
    ways = ways_of(tokenizers, "coarse", "fine")
    donor, logits = draw_logits(ways)
    own = donor.own()
    before, after = own.softmax(-1), (own + donor.change).softmax(-1)
    token = int(ways.images[ways.images >= 0].bincount().argmax())
    members = ways.images == token
    assert int(members.sum()) > 1
    expected = (after[:, members].sum(1) / before[:, members].sum(1)).log()
    found = pushing.of_all(donor, logits, ways, ChangeWeights())
    torch.testing.assert_close(found[:, token], expected, rtol=1e-4, atol=1e-4)
    mass = (before[:, members].sum(1) + after[:, members].sum(1)) / 2
    shrunk = pushing.of_all(donor, logits, ways, ChangeWeights(shrink=0.01))
    torch.testing.assert_close(shrunk[:, token], expected * mass / (mass + 0.01))


def test_the_raw_log_ratio_compares_sums_of_the_same_classes():
    """Two tokens of the target that the donor writes with one are weighed as one."""
    shared = SharedTokens(torch.tensor([0, 1]), torch.tensor([0, 1]), torch.ones(2) / 2, 1.0)
    # The target's tokens: a, b, ba; the donor's: a, b.
    ways = TokenWays(shared, torch.tensor([0, 1, 1]), torch.tensor([0, 1]))
    own = torch.tensor([[0.4, 0.6]]).log()
    logits = torch.tensor([[0.5, 0.1, 0.4]]).log()
    donor = DonorLogits(torch.zeros(1, 2), lambda: own)
    found = pushing.of_all(donor, logits, ways, ChangeWeights(raw_weight=1.0))
    changed = (logits + found).softmax(-1)
    torch.testing.assert_close(changed, torch.tensor([[0.4, 0.6 / 5, 4 * 0.6 / 5]]))


def test_nothing_is_raised_that_the_target_has_as_often_as_the_donor(tokenizers):
    ways = ways_of(tokenizers, "coarse", "fine")
    donor, logits = draw_logits(ways)
    weights = ChangeWeights()
    pushed, cut = (way.of_all(donor, logits, ways, weights) for way in (pushing, lacking))
    masses = pushing.masses_of_all(donor, logits, ways)
    has = masses.theirs > masses.classes[1]
    assert float(cut[has].max()) <= 0
    assert float(pushed[has].max()) > 0.5  # control: by push-forward they are raised
    down = pushed <= 0
    assert torch.equal(cut[down], pushed[down])
    assert bool((cut <= pushed).all())
    # Where the target has next to nothing of a token, it is raised as far as by push-forward.
    assert bool((cut[~has & ~down] > 0).all())
