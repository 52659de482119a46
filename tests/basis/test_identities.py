"""The identities of BASIS for any map and any rows, each beside a control that breaks it.

Rows are drawn badly scaled and of low rank on purpose: every column of x has a scale of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from transplant.basis.adapter import BasisAdapter, subspace
from transplant.basis.moment import SecondMoment
from transplant.basis.spectrum import Spectrum, eigenbasis

EXAMPLES = settings(max_examples=60, deadline=None, derandomize=True)


@dataclass(frozen=True)
class Drawn:
    """A map W [out, in], rows x [rows, in], the spectrum of W x, and a rank that it has."""

    weight: torch.Tensor
    x: torch.Tensor
    spectrum: Spectrum
    rank: int

    @property
    def y(self) -> torch.Tensor:
        return self.x @ self.weight.T

    def adapter(self, c: torch.Tensor | None = None) -> BasisAdapter:
        made = BasisAdapter({"map": subspace(self.weight, self.spectrum, self.rank)})
        if c is not None:
            made.c[0].data.copy_(c)
        return made

    def delta(self, c: torch.Tensor) -> torch.Tensor:
        """dW [out, in], float64."""
        return self.adapter(c).as_lora().pairs["map"].delta.double()


@st.composite
def maps(draw) -> Drawn:
    out, into = draw(st.integers(2, 16)), draw(st.integers(2, 16))
    rows = draw(st.integers(2, 60))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    scales = 10.0 ** torch.tensor(draw(st.lists(st.integers(-2, 2), min_size=into, max_size=into)))
    weight = torch.randn(out, into, generator=generator, dtype=torch.float64)
    x = torch.randn(rows, into, generator=generator, dtype=torch.float64) * scales
    moment = SecondMoment(out)
    moment.update(x @ weight.T)
    spectrum = eigenbasis(moment.mean(), floor=1e-6)
    return Drawn(weight, x, spectrum, draw(st.integers(1, spectrum.kept)))


def coefficients(rank: int) -> torch.Tensor:
    return torch.randn(rank, rank, generator=torch.Generator().manual_seed(rank))


@EXAMPLES
@given(maps())
def test_nothing_changes_at_step_0(drawn):
    x = drawn.x.float()
    assert torch.equal(drawn.adapter().change("map", x), torch.zeros(len(x), len(drawn.weight)))
    moved = drawn.adapter(coefficients(drawn.rank)).change("map", x)  # control
    assert moved.abs().max() > 0


@EXAMPLES
@given(maps())
def test_the_mean_square_of_the_change_is_the_square_of_c(drawn):
    c = coefficients(drawn.rank)
    found = (drawn.x @ drawn.delta(c).T).square().sum(1).mean()
    wanted = c.double().square().sum()
    assert abs(found - wanted) < 1e-3 * wanted
    other = (1.1 * drawn.x @ drawn.delta(c).T).square().sum(1).mean()  # control: other rows
    assert abs(other - wanted) > 0.1 * wanted


@EXAMPLES
@given(maps())
def test_what_a_rank_misses_is_the_energy_that_it_drops(drawn):
    s, spectrum, rank = drawn.adapter().subspaces["map"], drawn.spectrum, drawn.rank
    best = (s.u.double() * spectrum.scales[:rank]) @ s.r.double()  # B D R
    missed = (drawn.y - drawn.x @ best.T).square().sum(1).mean()
    total = drawn.y.square().sum(1).mean()
    assert abs(missed - spectrum.error(rank)) < 1e-5 * total
    assume(rank < spectrum.kept)
    last = spectrum.vectors[:, -rank:]  # control: the directions of least energy
    worse = (drawn.y - drawn.y @ last @ last.T).square().sum(1).mean()
    assert worse > spectrum.error(rank) or torch.allclose(worse, missed, rtol=1e-3)


@EXAMPLES
@given(maps())
def test_the_change_stays_inside_the_directions(drawn):
    change = drawn.delta(coefficients(drawn.rank))
    u = drawn.spectrum.vectors[:, : drawn.rank]
    size = change.norm()
    assert (u @ (u.T @ change) - change).norm() < 1e-4 * size
    assume(drawn.rank < len(u))
    outside = change + size * torch.linalg.svd(u).U[:, -1:]  # control: a direction beside them
    assert (u @ (u.T @ outside) - outside).norm() > 1e-2 * size


@EXAMPLES
@given(maps(), st.integers(1, 59))
def test_two_shards_are_one(drawn, at):
    whole, one, two = (SecondMoment(len(drawn.weight)) for _ in range(3))
    whole.update(drawn.y)
    one.update(drawn.y[:at])
    two.update(drawn.y[at:])
    one.merge(two)
    assert one.count == whole.count
    assert (one.mean() - whole.mean()).abs().max() < 1e-10 * whole.mean().abs().max()
    assume(len(drawn.y[at:]))
    one.merge(two)  # control: rows that come twice
    assert (one.yy - whole.yy).abs().max() > 0
