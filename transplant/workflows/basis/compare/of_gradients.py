"""BASIS inside directions of gradients, and the same without each of its parts."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from transplant.basis.adapter import BasisAdapter, Subspace, adapter_of
from transplant.basis.budget import allocate, choices_by_map, energy_scores
from transplant.basis.choices import choices_of
from transplant.basis.config import GRADIENTS, WIDTHS, AllocateConfig, FitConfig
from transplant.basis.fit import Basis, check_tokens
from transplant.basis.gradients import InputMoments, fit_gradients
from transplant.text.windows import first_windows
from transplant.workflows.basis.compare.method import Moving, Prepared, Scene

RECIPE = FitConfig(directions=GRADIENTS)
LEARNING_RATES = (0.001, 0.003, 0.009)


def basis(scene: Scene, score: str = WIDTHS, *, spared: bool = True) -> Prepared:
    """B alone, [out, r] of every map, behind r directions of its gradient.

    Args:
        scene: what every method is given.
        score: `widths`, `energy` or `uniform`.
        spared: whether directions are measured by the text that is to be kept, else by the
            domain's own.
    """
    found = _fitted(scene, spared=spared)
    return _prepared(scene, adapter_of(scene.maps, found, _ranks(scene, found, score)))


def basis_energy(scene: Scene) -> Prepared:
    """Ranks by the energy of gradients, exactly allocated, in place of the widths of maps."""
    return basis(scene, "energy")


def basis_uniform(scene: Scene) -> Prepared:
    """One rank for all maps."""
    return basis(scene, "uniform")


def basis_unspared(scene: Scene) -> Prepared:
    """Directions that are measured by the domain's own text: nothing is kept."""
    return basis(scene, spared=False)


def basis_random(scene: Scene) -> Prepared:
    """Random directions, white on the text that is to be kept, at the same scale: no gradient."""
    windows = first_windows(scene.kept, FitConfig.tokens)
    moments = InputMoments(scene.backbone, scene.maps, windows[0])
    moments.read(windows)
    choices = {
        m.name: choices_of(
            [1.0] * m.into, lambda r, out=m.out: r * out, step=1, r_min=0, r_max=RECIPE.max_rank
        )
        for m in scene.maps
    }  # fmt: skip
    ranks = allocate(choices, scene.budget, WIDTHS, scene.maps)
    generator = torch.Generator().manual_seed(scene.seed)
    places: dict[str, Subspace] = {}
    for of, white, scale in moments.whitened(RECIPE):
        drawn = torch.randn(white.shape[1], ranks[of.name], generator=generator).double()
        v = torch.linalg.qr(drawn).Q.to(white.device)
        r = scale * (white @ v).T
        places[of.name] = Subspace(None, r.float().contiguous(), of.out)
    return _prepared(scene, BasisAdapter(places))


def basis_loose(scene: Scene) -> Prepared:
    """R learns as well, at a rank that pays for it: a LoRA that starts there. No restriction."""
    found = _fitted(scene)
    ranks = {m.name: min(scene.rank, found.spectra[m.name].kept) for m in scene.maps}
    adapter = LooseAdapter(adapter_of(scene.maps, found, ranks).subspaces)
    return _prepared(scene, adapter)


class LooseAdapter(BasisAdapter):
    """An adapter whose R learns beside B.

    Args:
        subspaces: by the name of the map; R as it starts.
    """

    def __init__(self, subspaces: Mapping[str, Subspace]) -> None:
        super().__init__(subspaces)
        self.r = nn.ParameterList(s.r.clone() for s in subspaces.values())

    def change(self, name: str, x: Tensor) -> Tensor:
        """B R x [..., out] of inputs [..., in]."""
        place = self.names.index(name)
        r = self.r[place]
        return nn.functional.linear(nn.functional.linear(x.to(r.dtype), r), self.c[place])


def _prepared(scene: Scene, adapter: BasisAdapter) -> Prepared:
    adapter.to_device(scene.backbone.device)
    ranks = {name: place.rank for name, place in adapter.subspaces.items()}
    facts: dict[str, object] = {"ranks": [ranks.get(name, 0) for name in scene.names]}
    moving = Moving(adapter.parameters())
    return Prepared(moving, lambda: adapter.attached(scene.maps), facts=facts)


def _fitted(scene: Scene, *, spared: bool = True) -> Basis:
    windows = first_windows(scene.windows, RECIPE.tokens)
    kept = first_windows(scene.kept, RECIPE.tokens) if spared else windows
    wanted = min(RECIPE.max_rank, max(m.into for m in scene.maps))
    for text in (windows, kept):
        check_tokens(scene.backbone, text, RECIPE.tokens, wanted)
    return scene.once(
        (GRADIENTS, spared),
        lambda: fit_gradients(scene.backbone, scene.maps, windows, kept, RECIPE),
    )


def _ranks(scene: Scene, found: Basis, score: str) -> dict[str, int]:
    config = AllocateConfig(budget=scene.budget, score=score).settled(GRADIENTS)
    choices = choices_by_map(scene.maps, found, energy_scores(found), config)
    return allocate(choices, scene.budget, score, scene.maps)
