import math

import numpy as np
import pytest
import torch

from transplant.errors import NumericalError, ShapeError
from transplant.evaluation import agreement
from transplant.evaluation.agreement import score_chunk


def pair(positions=37, vocab=1000, *, noise=0.5, scale=3.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    anchor = torch.randn(positions, vocab, generator=generator) * scale
    return anchor, anchor + noise * torch.randn(positions, vocab, generator=generator)


def oracle(anchor, candidate):
    """float64 NumPy, straight from the definitions; a stable sort ranks equals by index."""
    sides = [np.asarray(side.to(torch.float64)) for side in (anchor, candidate)]
    exps = [np.exp(x - x.max(1, keepdims=True)) for x in sides]
    p, q = (e / e.sum(1, keepdims=True) for e in exps)

    def kl(a, b):
        ratio = np.where(a > 0, a, 1.0) / np.where(a > 0, b, 1.0)
        return (a * np.log(ratio)).sum(1)

    def entropy(a):
        return -(a * np.log(np.where(a > 0, a, 1.0))).sum(1)

    m = (p + q) / 2
    tops = [np.argsort(-x, axis=1, kind="stable")[:, :5] for x in sides]
    top5 = np.mean([len(set(a) & set(b)) / 5 for a, b in zip(*tops, strict=True)])
    top1 = (tops[0][:, 0] == tops[1][:, 0]).mean()
    return top5, top1, ((kl(p, m) + kl(q, m)) / 2).mean(), np.abs(entropy(p) - entropy(q)).mean()


def numbers(score):
    return score.top5, score.top1, score.js, score.entropy


@pytest.mark.parametrize("vocab", [5, 127, 128, 129, 700, 5000])
@pytest.mark.parametrize(("scale", "noise"), [(0.1, 0.1), (3.0, 0.5), (20.0, 5.0)])
def test_numbers_equal_a_float64_oracle(vocab, scale, noise):
    anchor, candidate = pair(vocab=vocab, scale=scale, noise=noise)
    score = score_chunk(anchor, candidate)
    assert score.positions == 37
    assert numbers(score) == pytest.approx(oracle(anchor, candidate), abs=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_any_float_dtype_equals_the_oracle_even_with_ties(dtype):
    anchor, candidate = (x.to(dtype) for x in pair(vocab=3000))
    assert numbers(score_chunk(anchor, candidate)) == pytest.approx(
        oracle(anchor, candidate), abs=1e-5
    )


def test_ties_rank_by_index():
    coarse = torch.randint(0, 3, (50, 2000), generator=torch.Generator().manual_seed(1)).float()
    other = torch.randint(0, 3, (50, 2000), generator=torch.Generator().manual_seed(2)).float()
    assert numbers(score_chunk(coarse, other)) == pytest.approx(oracle(coarse, other), abs=1e-5)


def test_block_size_changes_nothing(monkeypatch):
    anchor, candidate = pair(positions=300)
    whole = numbers(score_chunk(anchor, candidate))
    monkeypatch.setattr(agreement, "_BLOCK_WORDS", 7 * 1024)
    monkeypatch.setattr(agreement, "_ROWS", 11)
    assert numbers(score_chunk(anchor, candidate)) == pytest.approx(whole, abs=1e-6)


def test_identical_logits_agree_fully():
    anchor, _ = pair()
    assert numbers(score_chunk(anchor, anchor.clone())) == pytest.approx((1, 1, 0, 0), abs=2e-6)


def test_disjoint_one_hots_diverge_by_ln_2():
    anchor, candidate = torch.full((2, 3, 64), -torch.inf)
    anchor[:, 3], candidate[:, 60] = 0.0, 0.0
    score = score_chunk(anchor, candidate)
    assert score.js == pytest.approx(math.log(2), abs=1e-6)
    assert score.top1 == 0.0
    assert score.entropy == pytest.approx(0.0, abs=1e-6)


def test_a_shift_of_the_logits_changes_nothing():
    anchor, candidate = pair()
    shift = torch.arange(37.0).unsqueeze(1) * 4.0
    expected = numbers(score_chunk(anchor, candidate))
    assert numbers(score_chunk(anchor + shift, candidate - shift)) == pytest.approx(
        expected, abs=1e-4
    )


def test_masked_words_count_as_probability_zero():
    anchor, candidate = pair()
    anchor[:, 100:], candidate[:, 90:] = -torch.inf, -torch.inf
    score = numbers(score_chunk(anchor, candidate))
    assert score == pytest.approx(oracle(anchor, candidate), abs=1e-5)
    short = numbers(score_chunk(anchor[:, :100], candidate[:, :100]))
    assert score == pytest.approx(short, abs=1e-6)


def test_a_position_with_fewer_than_five_words_left_still_counts():
    anchor, candidate = pair()
    anchor[:, 2:], candidate[:, 2:] = -torch.inf, -torch.inf
    assert score_chunk(anchor, candidate).top5 == 1.0


def test_the_inputs_stay_as_they_were():
    anchor, candidate = pair()
    anchor.requires_grad_()
    copies = anchor.detach().clone(), candidate.clone()
    score_chunk(anchor, candidate)
    assert torch.equal(anchor, copies[0])
    assert torch.equal(candidate, copies[1])


def test_a_strided_view_scores_like_its_copy():
    anchor, candidate = (x.T for x in pair(positions=400, vocab=30))
    expected = numbers(score_chunk(anchor.contiguous(), candidate.contiguous()))
    assert numbers(score_chunk(anchor, candidate)) == expected


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_non_finite_logit_is_an_error_that_names_its_side(side, value):
    sides = pair()
    sides[side][5, 7] = value
    with pytest.raises(NumericalError, match=("anchor", "candidate")[side] + ".* 1 positions"):
        score_chunk(*sides)


def test_a_position_without_any_word_is_an_error():
    anchor, candidate = pair()
    candidate[3] = -torch.inf
    with pytest.raises(NumericalError, match="candidate"):
        score_chunk(anchor, candidate)


@pytest.mark.parametrize(
    "shapes",
    [
        ((4, 10), (4, 11)),
        ((4, 10), (5, 10)),
        ((4, 4), (4, 4)),
        ((0, 10), (0, 10)),
        ((10,), (10,)),
        ((1, 4, 10), (1, 4, 10)),
    ],
)
def test_shapes_that_do_not_fit_are_an_error(shapes):
    with pytest.raises(ShapeError):
        score_chunk(*(torch.zeros(shape) for shape in shapes))


def test_integers_are_not_logits():
    with pytest.raises(ShapeError, match="floating"):
        score_chunk(torch.zeros(4, 10), torch.zeros(4, 10, dtype=torch.long))
