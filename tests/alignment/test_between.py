"""Maps between two spaces: each recovers what it can express, and says so on held-out rows."""

from __future__ import annotations

import pytest
import torch

from transplant.activations.moments import CrossMoments
from transplant.alignment.between import FITS, fit_between
from transplant.alignment.cca import fit_cca
from transplant.errors import CorpusError, InputError, ShapeError


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def pairs(weight, noise=0.0, rows=600, seed=0):
    x = draw(rows, len(weight), seed=seed) + 1.0
    y = x @ weight - 2.0
    return [(x, y + noise * draw(*y.shape, seed=seed + 1))]


TURN = torch.linalg.qr(draw(12, 12))[0]


@pytest.mark.parametrize("method", FITS)
def test_a_rotation_is_found_by_every_method(method):
    found = fit_between(pairs(TURN), pairs(TURN, rows=100, seed=5), method, 1e-9)
    torch.testing.assert_close(found.bridge.weight, TURN, rtol=1e-3, atol=1e-3)
    assert found.r2 > 0.999
    assert (found.pairs, found.held_out) == (600, 100)
    assert found.mse[1] < 1e-5 < found.mse[0]
    assert found.cosine[1] > 0.999 > found.cosine[0]


def test_a_rotation_is_not_its_transpose():
    """The fault of others: applied the wrong way round it is no better than no map at all."""
    found = fit_between(pairs(TURN), pairs(TURN, seed=5), "rotation").bridge
    x, y = pairs(TURN, seed=7)[0]
    centred, wanted = x - x.mean(0), y - y.mean(0)
    assert (centred @ found.weight - wanted).norm() < 1e-3 * wanted.norm()
    assert (centred @ found.weight.T - wanted).norm() > wanted.norm()


def test_only_some_methods_scale_and_only_some_change_the_width():
    scaled = {m: fit_between(pairs(3 * TURN), pairs(3 * TURN, seed=5), m, 1e-9).r2 for m in FITS}
    assert scaled["rotation"] < 0.9 < 0.999 < min(scaled[m] for m in FITS if m != "rotation")
    wide = draw(12, 20)
    for method in ("ridge", "cca"):
        found = fit_between(pairs(wide), pairs(wide, seed=5), method, 1e-9)
        assert found.r2 > 0.999
        assert found.cosine[0] is None
    with pytest.raises(ShapeError):
        fit_between(pairs(wide), pairs(wide, seed=5), "procrustes")


def test_few_canonical_directions_keep_what_the_sides_agree_on():
    signal = draw(12, 2) @ draw(2, 10, seed=1)  # two directions carry all of it
    x, y = pairs(signal, noise=0.3, rows=60)[0]
    xy, yy = CrossMoments(12, 10), CrossMoments(10, 10)
    xy.update(x, y)
    yy.update(y, y)
    held = CrossMoments(12, 10)
    held.update(*pairs(signal, noise=0.3, rows=2000, seed=9)[0])
    explained = {rank: fit_cca(xy, yy, rank=rank).r2(held) for rank in (1, 2, None)}
    assert explained[2] > explained[None]  # the rest is noise
    assert explained[2] > explained[1]
    with pytest.raises(ShapeError):
        fit_cca(xy, held)


def test_nothing_to_fit_or_to_judge_is_refused():
    with pytest.raises(CorpusError):
        fit_between([], pairs(TURN), "ridge")
    with pytest.raises(CorpusError):
        fit_between(pairs(TURN), [], "ridge")
    with pytest.raises(InputError, match="`method`"):
        fit_between(pairs(TURN), pairs(TURN), "hope")
