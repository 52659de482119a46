"""BASIS, and BASIS without each of its parts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from transplant.basis.adapter import BasisAdapter, Subspace, adapter_of
from transplant.basis.choices import choices_of
from transplant.basis.config import AdaptConfig, AllocateConfig, FitConfig
from transplant.basis.fisher import fisher_scores
from transplant.basis.fit import Basis, check_tokens, fit_basis
from transplant.text.windows import Window, first_windows
from transplant.workflows.basis.allocate import allocate, energy_scores
from transplant.workflows.basis.compare.method import Moving, Prepared, Scene

FIT_TOKENS, FISHER_TOKENS = FitConfig.tokens, AllocateConfig.tokens
STEP = AllocateConfig.step


def basis(scene: Scene, score: str = "fisher", *, random: bool = False) -> Prepared:
    """C alone, in subspaces whose ranks come of one budget.

    Args:
        scene: what every method is given.
        score: `fisher`, `energy` or `uniform`.
        random: whether directions are drawn in place of those of the outputs (no basis).
    """
    found = _fitted(scene)
    choices = {
        name: choices_of(values.tolist(), lambda r: r * r, step=STEP, r_min=0, r_max=None)
        for name, values in _scores(scene, found, score).items()
    }
    ranks = allocate(choices, scene.budget, score)
    adapter = adapter_of(scene.maps, found.spectra, ranks)
    if random:
        adapter = BasisAdapter(_drawn(scene, adapter, found))
    adapter.to_device(scene.backbone.device)
    facts: dict[str, object] = {"ranks": [ranks[name] for name in scene.names]}
    moving = Moving(adapter.parameters())
    return Prepared(moving, lambda: adapter.attached(scene.maps), facts=facts)


def basis_energy(scene: Scene) -> Prepared:
    """Ranks by energy in place of Fisher information."""
    return basis(scene, "energy")


def basis_uniform(scene: Scene) -> Prepared:
    """One rank for all maps: no allocation."""
    return basis(scene, "uniform")


def basis_random(scene: Scene) -> Prepared:
    """Random orthonormal directions, of equal energy: no basis."""
    return basis(scene, "uniform", random=True)


def basis_free(scene: Scene) -> Prepared:
    """dW = B R_r with B [out, r] free to leave the span of U_r: no restriction."""
    found = _fitted(scene)
    rank = scene.budget // sum(m.out for m in scene.maps)
    whole = adapter_of(scene.maps, found.spectra, _capped(found, rank))
    free = FreeAdapter(whole.subspaces)
    free.to_device(scene.backbone.device)
    moving = Moving(free.parameters())
    return Prepared(moving, lambda: free.attached(scene.maps), facts={"rank": rank})


class FreeAdapter(BasisAdapter):
    """An adapter that reads through R_r and writes anywhere: B [out, r] takes the place of U_r C.

    Args:
        subspaces: by the name of the map.
    """

    def __init__(self, subspaces: dict[str, Subspace]) -> None:
        super().__init__(subspaces)
        self.c = nn.ParameterList(torch.zeros(len(s.u), s.rank) for s in subspaces.values())

    def change(self, name: str, x: Tensor) -> Tensor:
        """B R_r x [..., out] of inputs [..., in]."""
        s, b = self.subspaces[name], self.c[self.names.index(name)]
        return nn.functional.linear(nn.functional.linear(x.to(s.r.dtype), s.r), b)


def _fitted(scene: Scene) -> Basis:
    windows = first_windows(scene.windows, FIT_TOKENS)
    wanted = min(FitConfig.max_rank, max(m.out for m in scene.maps))
    check_tokens(scene.backbone, windows, FIT_TOKENS, wanted)
    return fit_basis(scene.backbone, scene.maps, windows, FitConfig())


def _scores(scene: Scene, found: Basis, score: str) -> dict[str, Tensor]:
    if score != "fisher":
        return energy_scores(found)
    windows: list[Window] = first_windows(scene.windows, FISHER_TOKENS)
    return fisher_scores(scene.backbone, scene.maps, found.spectra, windows)


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
        drawn[of.name] = Subspace(u, (u.T @ of.weight.detach().cpu().float()) / scale)
    return drawn


LEARNING_RATES = (AdaptConfig.learning_rate / 2, AdaptConfig.learning_rate * 2,
                  AdaptConfig.learning_rate * 8)  # fmt: skip
