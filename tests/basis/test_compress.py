"""Ranks of a backbone that is cut: none is lost for want of directions that a fit left out."""

from __future__ import annotations

import weakref

import pytest
import torch

from transplant.basis.budget import energy_scores
from transplant.basis.compress import (
    check_directions,
    compressed_choices,
    compressed_ranks,
    most_useful_rank,
    parameters_of,
    with_weights,
)
from transplant.basis.config import FitConfig
from transplant.basis.fit import fit_basis
from transplant.basis.maps import select_maps
from transplant.basis.spectrum import Spectrum
from transplant.errors import InputError

STEP = 2


@pytest.fixture(scope="module")
def maps(backbones):
    return select_maps(backbones("llama"))


def fitted(backbones, maps, windows, **options):
    return fit_basis(backbones("llama"), maps, windows, FitConfig(**options))


def ranks_of(maps, basis, ratio):
    scores = {name: one.tolist() for name, one in energy_scores(basis).items()}
    return compressed_ranks(maps, scores, ratio, STEP, 1.0)


def test_the_most_useful_rank_is_the_last_that_is_cheaper_than_the_map(maps):
    for of in maps:
        rank = most_useful_rank(of)
        assert rank * (of.out + of.into) < of.out * of.into <= (rank + 1) * (of.out + of.into)


def test_a_share_is_kept_where_there_are_directions_enough(backbones, maps, windows):
    basis = fitted(backbones, maps, windows, max_rank=256)
    whole = sum(m.out * m.into for m in maps)
    for ratio in (0.5, 0.95):
        kept = parameters_of(maps, ranks_of(maps, basis, ratio))
        assert (ratio - 0.05) * whole < kept <= ratio * whole


def test_a_whole_map_is_worth_more_than_any_rank_of_it(backbones, maps, windows):
    basis = fitted(backbones, maps, windows, max_rank=8)
    for name, scores in energy_scores(basis).items():
        of = next(m for m in maps if m.name == name)
        *cut, whole = compressed_choices(of, scores.tolist(), STEP, 1.0).values
        assert whole == 1.0 > max(cut)


def test_all_directions_of_a_map_are_a_rank_where_that_is_cheaper_than_the_whole(maps):
    of = maps[0]
    most = most_useful_rank(of)
    for directions in range(1, most + STEP):
        scores = [1.0] * directions
        choices = compressed_choices(of, scores, step=4)
        *cut, whole = choices.ranks
        assert whole == of.out
        steps = {*range(4, min(directions, most) + 1, 4)}
        assert cut == sorted(steps | ({directions} if directions <= most else set()))
        if directions <= most:  # nothing is lost by it: the whole map keeps no more
            assert choices.values[-2] == choices.values[-1] == directions
            assert choices.costs[-2] < choices.costs[-1]
    assert compressed_choices(of, [], step=4).ranks == (of.out,)


def test_a_basis_is_too_narrow_by_its_max_rank_alone(backbones, maps, windows):
    needed = max(map(most_useful_rank, maps))
    narrow = fitted(backbones, maps, windows, max_rank=needed - 1)
    with pytest.raises(InputError, match="too few directions") as told:
        check_directions(maps, narrow.spectra, needed - 1, "b")
    assert told.value.expected == f"a basis fitted with `max_rank` {needed} or more"
    check_directions(maps, fitted(backbones, maps, windows, max_rank=needed).spectra, needed, "b")
    few = {  # a floor, or few tokens: no larger `max_rank` would give more
        name: Spectrum(one.vectors[:, :3], one.energies) for name, one in narrow.spectra.items()
    }
    check_directions(maps, few, needed - 1, "b")


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_weights_of_a_cut_are_in_memory_one_by_one(backbones, family):
    backbone = backbones(family)
    maps, before = select_maps(backbone), []
    own = {m.name: m.weight.detach().clone() for m in maps}

    def made():
        for m in maps:
            assert all(one() is None for one in before)  # the one before is gone
            weight = 2 * m.weight.detach().double()
            before.append(weakref.ref(weight))
            yield m.name, weight
            del weight

    small = with_weights("small", backbone, made())
    assert len(before) == len(maps)
    for m in select_maps(small):
        assert torch.equal(m.weight, 2 * own[m.name])
    assert all(torch.equal(m.weight, own[m.name]) for m in maps)  # the backbone is as it was


def test_a_share_that_pays_for_no_ranks_is_refused_with_the_least_that_does(
    backbones, maps, windows
):
    basis = fitted(backbones, maps, windows, max_rank=256)
    with pytest.raises(InputError, match="smallest ranks") as told:
        ranks_of(maps, basis, 0.02)
    least = float(told.value.expected.split()[0])
    assert {*ranks_of(maps, basis, least).values()} == {STEP}
    with pytest.raises(InputError):
        ranks_of(maps, basis, least - 0.001)
