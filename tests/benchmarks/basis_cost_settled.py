"""Held-out energy and Fisher score by the number of tokens: how much of the most a basis keeps."""

from __future__ import annotations

import statistics
from typing import Any

import torch
from torch import Tensor

from tests.benchmarks.basis_cost_scene import Scene
from transplant.basis.allocate import allocate_exact, allocate_uniform, kept
from transplant.basis.fisher import fisher_scores
from transplant.basis.fit import Basis, moments_of
from transplant.basis.spectrum import eigenbasis

FIT_SIZES = (2_000, 4_000, 8_000, 16_000, 32_000, 50_000)
FISHER_SIZES = (1_000, 2_000, 4_000, 8_000, 20_000)
RANKS = (16, 64, 128)


@torch.no_grad()
def settled(scene: Scene) -> dict[str, Any]:
    """What more tokens bring: energies and scores of held-out text."""
    backbone, maps = scene.backbone, scene.maps
    held = moments_of(backbone, maps, scene.held)
    truth = {name: one.mean() for name, one in held.items()}
    whole = {name: eigenbasis(k) for name, k in truth.items()}
    energy: dict[int, dict[str, list[float]]] = {}
    basis: Basis | None = None
    for tokens in FIT_SIZES:
        basis = scene.fit(tokens)
        energy[tokens] = {
            str(rank): _mean_and_least(
                _inside(s.vectors[:, :rank], truth[n]) / float(whole[n].energies[:rank].sum())
                for n, s in basis.spectra.items()
            )
            for rank in RANKS
        }
    assert basis is not None
    with torch.enable_grad():
        judge = scene.choices(fisher_scores(backbone, maps, basis.spectra, scene.held))
        most = kept(judge, allocate_exact(judge, scene.budget))
        fisher = {
            tokens: kept(judge, scene.allocate(basis, tokens)) / most for tokens in FISHER_SIZES
        }
    even = kept(judge, allocate_uniform(judge, scene.budget)) / most
    return {"energy": energy, "fisher": fisher, "fisher_uniform": even}


def _inside(vectors: Tensor, moment: Tensor) -> float:
    u = vectors.double()
    return float((u.T @ moment @ u).trace())


def _mean_and_least(values: Any) -> list[float]:
    found = list(values)
    return [statistics.mean(found), min(found)]
