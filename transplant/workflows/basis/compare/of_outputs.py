"""BASIS inside directions of outputs, and the same without each of its parts."""

from __future__ import annotations

import torch
from torch import Tensor

from transplant.basis.adapter import BasisAdapter, Subspace, adapter_of
from transplant.basis.budget import allocate, check_felt, choices_by_map, energy_scores
from transplant.basis.config import FISHER, OUTPUTS, AdaptConfig, AllocateConfig, FitConfig
from transplant.basis.fisher import fisher_scores
from transplant.basis.fit import Basis, check_tokens, fit_basis
from transplant.text.windows import Window, first_windows
from transplant.workflows.basis.compare.method import Moving, Prepared, Scene

FIT_TOKENS, FISHER_TOKENS = FitConfig.tokens, AllocateConfig.tokens


def outputs(scene: Scene, score: str = FISHER, *, random: bool = False) -> Prepared:
    """C alone, in subspaces whose ranks come of one budget.

    Args:
        scene: what every method is given.
        score: `fisher`, `energy` or `uniform`.
        random: whether directions are drawn in place of those of the outputs (no basis).
    """
    found = _fitted(scene)
    config = AllocateConfig(budget=scene.budget, score=score).settled(OUTPUTS)
    choices = choices_by_map(scene.maps, found, _scores(scene, found, score), config)
    ranks = allocate(choices, scene.budget, score, scene.maps)
    adapter = adapter_of(scene.maps, found, ranks)
    if random:
        adapter = BasisAdapter(_drawn(scene, adapter, found))
    adapter.to_device(scene.backbone.device)
    facts: dict[str, object] = {"ranks": [ranks[name] for name in scene.names]}
    moving = Moving(adapter.parameters())
    return Prepared(moving, lambda: adapter.attached(scene.maps), facts=facts)


def outputs_energy(scene: Scene) -> Prepared:
    """Ranks by energy in place of Fisher information."""
    return outputs(scene, "energy")


def outputs_uniform(scene: Scene) -> Prepared:
    """One rank for all maps: no allocation."""
    return outputs(scene, "uniform")


def outputs_random(scene: Scene) -> Prepared:
    """Random orthonormal directions, of equal energy: no basis."""
    return outputs(scene, "uniform", random=True)


def outputs_free(scene: Scene) -> Prepared:
    """dW = B R_r with B [out, r] free to leave the span of U_r: no restriction."""
    found = _fitted(scene)
    rank = scene.budget // sum(m.out for m in scene.maps)
    whole = adapter_of(scene.maps, found, _capped(found, rank))
    free = BasisAdapter({n: Subspace(None, s.r, s.out) for n, s in whole.subspaces.items()})
    free.to_device(scene.backbone.device)
    moving = Moving(free.parameters())
    return Prepared(moving, lambda: free.attached(scene.maps), facts={"rank": rank})


def _fitted(scene: Scene) -> Basis:
    windows = first_windows(scene.windows, FIT_TOKENS)
    wanted = min(FitConfig.max_rank, max(m.out for m in scene.maps))
    check_tokens(scene.backbone, windows, FIT_TOKENS, wanted)
    return scene.once(OUTPUTS, lambda: fit_basis(scene.backbone, scene.maps, windows, FitConfig()))


def _scores(scene: Scene, found: Basis, score: str) -> dict[str, Tensor]:
    if score != FISHER:
        return energy_scores(found)
    windows: list[Window] = first_windows(scene.windows, FISHER_TOKENS)
    scores = scene.once(
        FISHER, lambda: fisher_scores(scene.backbone, scene.maps, found.spectra, windows)
    )
    check_felt(scores)
    return scores


def _capped(found: Basis, rank: int) -> dict[str, int]:
    return {name: min(rank, spectrum.kept) for name, spectrum in found.spectra.items()}


def _drawn(scene: Scene, adapter: BasisAdapter, found: Basis) -> dict[str, Subspace]:
    """Random subspaces of the same ranks; along each direction lies the mean energy of the map."""
    generator = torch.Generator().manual_seed(scene.seed)
    drawn: dict[str, Subspace] = {}
    for of in scene.maps:
        if of.name not in adapter.subspaces:
            continue
        rank = adapter.subspaces[of.name].rank
        u = torch.linalg.qr(torch.randn(of.out, rank, generator=generator)).Q
        scale = float(found.spectra[of.name].energies.mean().sqrt())
        drawn[of.name] = Subspace(u, (u.T @ of.weight.detach().cpu().float()) / scale, of.out)
    return drawn


LEARNING_RATES = (AdaptConfig.learning_rate / 2, AdaptConfig.learning_rate * 2,
                  AdaptConfig.learning_rate * 8)  # fmt: skip
