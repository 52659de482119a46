"""Ways to fit a basis and to score it, on the same tokens: the library's, and slower ones."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tests.benchmarks.basis_cost_scene import Scene, timed
from transplant.backbones.view import Backbone
from transplant.basis import fisher as fisher_room
from transplant.basis.config import FitConfig
from transplant.basis.fisher import fisher_scores
from transplant.basis.fit import fit_basis
from transplant.basis.maps import LinearMap
from transplant.basis.moment import SecondMoment
from transplant.basis.spectrum import Spectrum, eigenbasis
from transplant.basis.watch import watching
from transplant.text.windows import Window, batches, first_windows

WAYS_FIT, WAYS_FISHER = 8_000, 4_000


@torch.no_grad()
def fit_by_outputs(
    backbone: Backbone, maps: Sequence[LinearMap], windows: Sequence[Window], max_rank: int
) -> dict[str, Spectrum]:
    """As it was fitted before: the moment of every map's outputs, and its whole decomposition."""
    moments = {m.name: SecondMoment(m.out) for m in maps}

    def see(of: LinearMap, _read: Tensor, output: Tensor, mask: Tensor) -> None:
        rows = output.reshape(*mask.shape, -1)[mask]
        moments[of.name].update(rows if of.bias is None else rows.double() - of.bias.double())

    with watching(backbone, maps, see):
        for batch in batches(windows):
            backbone.read([windows[index] for index in batch])
    return {
        name: eigenbasis(moment.mean(), floor=FitConfig.floor, max_rank=max_rank)
        for name, moment in moments.items()
    }


def ways(scene: Scene, rounds: int) -> dict[str, Any]:
    """Ratios of processor time, round by round, and how far the results lie apart."""
    windows = first_windows(scene.train, WAYS_FIT)
    looks = first_windows(scene.train, WAYS_FISHER)
    backbone, maps, config = scene.backbone, scene.maps, FitConfig()
    fit: list[float] = []
    fisher: list[float] = []
    gap = apart = 0.0
    own = fisher_room.products_in
    for number in range(rounds + 1):
        new, basis = timed(lambda: fit_basis(backbone, maps, windows, config))
        old, spectra = timed(lambda: fit_by_outputs(backbone, maps, windows, config.max_rank))
        fast, scores = timed(lambda b=basis: fisher_scores(backbone, maps, b.spectra, looks))
        fisher_room.products_in = lambda _weights: torch.float32
        slow, exact = timed(lambda b=basis: fisher_scores(backbone, maps, b.spectra, looks))
        fisher_room.products_in = own
        if not number:  # unmeasured, and the same in all rounds
            gap = max(
                float((basis.spectra[n].energies - s.energies).abs().max() / s.energies[0])
                for n, s in spectra.items()
            )
            apart = sum(float((scores[n] - e).abs().sum()) for n, e in exact.items()) / sum(
                float(e.sum()) for e in exact.values()
            )
            continue
        fit.append(new / old)
        fisher.append(fast / slow)
    return {
        "fit": statistics.median(fit), "fit_each": [round(r, 3) for r in fit],
        "energies_apart": gap,
        "fisher": statistics.median(fisher), "fisher_each": [round(r, 3) for r in fisher],
        "scores_apart": apart,
    }  # fmt: skip
