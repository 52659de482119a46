"""Bases of taps: what they lose, what they find, and which taps a fit can do without."""

from __future__ import annotations

import pytest
import torch

from transplant.activations.moments import CrossMoments
from transplant.alignment.affine import AffineMap
from transplant.alignment.basis import TapBases
from transplant.alignment.choose_taps import choose_taps
from transplant.alignment.fit_bases import (
    fit_leading,
    leading_directions,
    moments_in,
    used_directions,
)
from transplant.alignment.ridge import fit_ridge

WIDTH, TAPS, OUT = 40, 3, 6
STRENGTH = 1e-3


def draws(seed, rows=1200):
    """Taps as of a residual stream: each adds a little to the one before; y is what was added.

    What is shared by all taps has most of their variance and says nothing of y.
    """
    draw = torch.Generator().manual_seed(seed)
    mixing = torch.Generator().manual_seed(99)
    stream = torch.randn(rows, WIDTH, generator=draw) * 3 + 1
    taps, steps = [], []
    for _ in range(TAPS):
        taps.append(stream)
        steps.append(torch.randn(rows, WIDTH, generator=draw))
        stream = stream + steps[-1]
    weight = torch.randn(WIDTH, OUT, generator=mixing)
    return taps, steps[0] @ weight + 0.1 * torch.randn(rows, OUT, generator=draw)


@pytest.fixture
def fitted():
    taps, y = draws(0)
    return lambda: [([tap[part] for tap in taps], y[part]) for part in torch.arange(1200).chunk(4)]


@pytest.fixture
def held():
    taps, y = draws(1, 400)
    return lambda: [(taps, y)]


def r2(fitted, held, bases):
    return fit_ridge(moments_in(fitted, bases), STRENGTH).r2(moments_in(held, bases))


def identity():
    return TapBases(tuple(torch.eye(WIDTH) for _ in range(TAPS)))


def random_bases(columns):
    draw = torch.Generator().manual_seed(5)
    share = columns // TAPS
    squares = [torch.randn(WIDTH, share, generator=draw) for _ in range(TAPS)]
    return TapBases(tuple(torch.linalg.qr(square)[0] for square in squares))


def test_complete_bases_change_nothing(fitted):
    """A ridge regression does not see a rotation of its columns."""
    plain = fit_ridge(moments_in(fitted, identity()), STRENGTH)
    turned = random_bases(WIDTH * TAPS)
    again = turned.folded(fit_ridge(moments_in(fitted, turned), STRENGTH))
    torch.testing.assert_close(again.weight, plain.weight, atol=1e-5, rtol=1e-4)
    taps, _ = fitted()[0]
    torch.testing.assert_close(again(torch.cat(taps, 1)), plain(torch.cat(taps, 1)), atol=1e-3,
                               rtol=1e-4)  # fmt: skip
    cut = TapBases(tuple(block[:, :-4] for block in turned.blocks))
    less = cut.folded(fit_ridge(moments_in(fitted, cut), STRENGTH))
    assert (less.weight - plain.weight).abs().max() > 0.01  # the control


def test_a_map_of_columns_folds_into_one_of_the_taps(fitted):
    bases = random_bases(12)
    found = fit_ridge(moments_in(fitted, bases), STRENGTH)
    taps, _ = fitted()[0]
    torch.testing.assert_close(
        bases.folded(found)(torch.cat(taps, 1)), found(bases(taps)), atol=1e-4, rtol=1e-4
    )


def test_used_directions_keep_what_all_columns_say(fitted, held):
    """A sixth of the columns: leading and random directions of the same number are far off."""
    columns = 6 * TAPS
    leading = fit_leading(fitted, leading_directions(fitted, 6, 0), STRENGTH)
    bases = used_directions(fitted, leading, columns)
    assert bases.columns == columns
    for block in bases.blocks:
        torch.testing.assert_close(block.T @ block, torch.eye(6), atol=1e-5, rtol=1e-4)
    everything, used = r2(fitted, held, identity()), r2(fitted, held, bases)
    assert everything > 0.9
    assert used > everything - 0.2
    longer = used_directions(fitted, leading, columns, steps=20)
    assert r2(fitted, held, longer) > everything - 0.01
    assert r2(fitted, held, leading.bases) < everything - 0.3
    assert r2(fitted, held, random_bases(columns)) < everything - 0.3


def test_where_y_is_narrow_leading_directions_fill_the_share(fitted):
    leading = fit_leading(fitted, leading_directions(fitted, 10, 0), STRENGTH)
    bases = used_directions(fitted, leading, 30)
    assert bases.sizes == [10] * TAPS
    outside = leading.taps[0].vectors[:, 0].float()
    held = bases.blocks[0] @ (bases.blocks[0].T @ outside)
    assert float((held - outside).norm()) < 0.1


def test_a_tap_without_information_is_dropped_and_one_that_does_is_not():
    draw = torch.Generator().manual_seed(3)
    x = torch.randn(3, 900, 8, generator=draw)
    y = x[0] @ torch.randn(8, 5, generator=draw) + x[2] @ torch.randn(8, 5, generator=draw)

    def moments(rows):
        found = CrossMoments(24, 5)
        found.update(torch.cat([*x[:, rows]], 1), y[rows])
        return found

    sides = moments(slice(0, 600)), moments(slice(600, 900))
    assert choose_taps(*sides, [8, 8, 8], 1e-6) == (0, 2)


def test_dropping_a_tap_is_fitting_without_it():
    """The downdated inverse against a fit of its own."""
    from transplant.alignment.choose_taps import _path

    draw = torch.Generator().manual_seed(4)
    x = torch.randn(300, 9, generator=draw)
    y = x @ torch.randn(9, 2, generator=draw) + torch.randn(300, 2, generator=draw)

    def moments(rows, columns):
        found = CrossMoments(len(columns), 2)
        found.update(x[rows][:, columns], y[rows])
        return found

    fit, held, every = slice(0, 200), slice(200, 300), torch.arange(9)
    ridge = 0.3
    path = [*_path(moments(fit, every), moments(held, every), [3, 3, 3], ridge)]
    assert [len(kept) for kept, _ in path] == [3, 2, 1]
    for kept, r2 in path:
        columns = torch.cat([torch.arange(3 * tap, 3 * tap + 3) for tap in kept])
        own = moments(fit, columns)
        xx, xy, _ = own.centred()
        solved = torch.linalg.solve(xx + ridge * torch.eye(len(xx)).double(), xy)
        bias = own.y / own.count - own.x / own.count @ solved
        assert r2 == pytest.approx(AffineMap(solved, bias).r2(moments(held, columns)))
