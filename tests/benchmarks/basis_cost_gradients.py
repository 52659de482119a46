"""A fit of directions of gradients as it was and as it is, and their share in the training."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from tests.benchmarks.basis_cost_scene import WINDOW, Scene, timed
from tests.benchmarks.basis_cost_share import train_seconds
from transplant.backbones.view import Backbone
from transplant.basis.adapter import adapter_of
from transplant.basis.budget import allocate, choices_by_map, energy_scores
from transplant.basis.config import GRADIENTS, AllocateConfig, FitConfig
from transplant.basis.fisher import TOKENS
from transplant.basis.fit import Basis
from transplant.basis.gradients import fit_gradients, reading_directions, whitener
from transplant.basis.maps import LinearMap, stacks
from transplant.basis.shared import groups_by_input, start_of
from transplant.basis.spectrum import Spectrum
from transplant.basis.watch import watching
from transplant.text.windows import Window, batches, first_windows
from transplant.training.losses import next_token_loss
from transplant.workflows.corpus import read_as_needed, windows_of

RECIPE = FitConfig(directions=GRADIENTS)
COLUMNS, ROWS = 512, 4096  # of the blocks of a moment, as they were


def gradients(scene: Scene, rounds: int, steps: int | None) -> dict[str, Any]:
    """Ratios of processor time, round by round, how far the results lie apart, and the share."""
    splits = read_as_needed(scene.work, "prose", train=RECIPE.tokens)
    kept = windows_of(scene.backbone, splits.train, WINDOW, RECIPE.tokens)
    windows = first_windows(scene.train, RECIPE.tokens)
    backbone, maps = scene.backbone, scene.maps
    now: list[float] = []
    before: list[float] = []
    apart: dict[str, float] = {}
    for number in range(rounds + 1):
        old, spectra = timed(lambda: fit_before(backbone, maps, windows, kept))
        new, basis = timed(lambda: fit_gradients(backbone, maps, windows, kept, RECIPE))
        if not number:  # unmeasured, and the same in all rounds
            apart = _apart(spectra, basis)
            continue
        before.append(old)
        now.append(new)
    allocating, ranks = timed(lambda: _ranks(scene, basis))
    adapter = adapter_of(maps, basis, ranks)
    with adapter.attached(maps):
        training, trained = timed(lambda: train_seconds(scene, adapter, steps))
    training = training if steps is None else trained
    fit, fit_before_s = statistics.median(now), statistics.median(before)
    ratios = [own / other for own, other in zip(now, before, strict=True)]
    return {
        "tokens": RECIPE.tokens, "fit_s": fit, "fit_before_s": fit_before_s,
        "ratio": statistics.median(ratios), "ratios": [round(r, 3) for r in ratios],
        "apart": apart, "allocate_s": allocating, "train_s": training,
        "training": "whole" if steps is None else f"from {steps} steps and one look",
        "share": (fit + allocating) / training,
        "share_before": (fit_before_s + allocating) / training,
        "parameters": adapter.trainable,
    }  # fmt: skip


def _ranks(scene: Scene, basis: Basis) -> dict[str, int]:
    config = AllocateConfig(budget=scene.budget).settled(GRADIENTS)
    choices = choices_by_map(scene.maps, basis, energy_scores(basis), config)
    return allocate(choices, scene.budget, config.score, scene.maps)


def _apart(spectra: dict[str, Spectrum], basis: Basis) -> dict[str, float]:
    """The worst relative distance of energies, and of R' diag(s^2) R, which no sign moves."""
    energies = directions = 0.0
    for name, one in spectra.items():
        other = basis.spectra[name]
        gap = (one.energies - other.energies).norm() / one.energies.norm()
        energies = max(energies, float(gap))
        own, its = ((s.vectors * s.energies[: s.kept]) @ s.vectors.T for s in (one, other))
        directions = max(directions, float((own - its).norm() / own.norm()))
    return {"energies": energies, "directions": directions}


def fit_before(
    backbone: Backbone, maps: Sequence[LinearMap], windows: Sequence[Window],
    kept: Sequence[Window],
) -> dict[str, Spectrum]:  # fmt: skip
    """As it was fitted before, on one device and in one process."""
    slopes = _slopes(backbone, maps, windows)
    groups = groups_by_input(maps, lambda: backbone.read([start_of(kept[0])]))
    moments, scales, rows = _moments(backbone, groups, kept)
    found: dict[str, Spectrum] = {}
    for group in groups:
        white = whitener(moments[group[0].name] / rows, RECIPE)
        for of in group:
            total, count = scales[of.name].tolist()
            scale = torch.tensor(total / count).exp().item()
            found[of.name] = reading_directions(slopes[of.name], white, scale, RECIPE)
    return found


def _rows(states: Tensor, mask: Tensor) -> Tensor:
    return states.reshape(*mask.shape, -1)[mask]


def _slopes(
    backbone: Backbone, maps: Sequence[LinearMap], windows: Sequence[Window]
) -> dict[str, Tensor]:
    sums = {m.name: torch.zeros(m.out, m.into) for m in maps}

    def see(of: LinearMap, read: Tensor, output: Tensor, mask: Tensor) -> None:
        x = read.detach()

        def felt(gradient: Tensor) -> None:
            sums[of.name] += (_rows(gradient, mask).T @ _rows(x, mask)).float()

        output.register_hook(felt)

    with _from_the_embeddings_on(backbone), watching(backbone, maps, see):
        for batch in batches(windows, TOKENS):
            states = backbone.run([windows[index] for index in batch]).labelled()
            loss = next_token_loss(backbone, states.h_last, states.labels) * len(states)
            loss.backward()
    return sums


@contextmanager
def _from_the_embeddings_on(backbone: Backbone) -> Iterator[None]:
    def ask(_module: Any, _args: Any, output: Tensor) -> Tensor:
        return output.requires_grad_()

    (stack,) = stacks(backbone)
    embeddings: Any = stack
    hook = embeddings.get_input_embeddings().register_forward_hook(ask)
    with torch.enable_grad():
        yield
    hook.remove()


@torch.no_grad()
def _moments(
    backbone: Backbone, groups: Sequence[Sequence[LinearMap]], kept: Sequence[Window]
) -> tuple[dict[str, Tensor], dict[str, Tensor], int]:
    """Sums of x x', of logarithms of sizes with their count, and the rows."""
    moments = {g[0].name: torch.zeros(g[0].into, g[0].into).double() for g in groups}
    scales = {m.name: torch.zeros(2).double() for group in groups for m in group}

    def see(of: LinearMap, read: Tensor, output: Tensor, mask: Tensor) -> None:
        rows = _rows(output, mask).float()
        rows = rows if of.bias is None else rows - of.bias.float()
        squares = rows.square().mean(1).double()
        logs = squares[squares > 0].log() / 2
        scales[of.name] += torch.tensor([float(logs.sum()), len(logs)]).double()
        if of.name not in moments:
            return
        for block in _rows(read, mask).split(ROWS):
            wide = block.double()
            assert torch.isfinite(wide.square().sum())
            _add_gram(moments[of.name], wide)

    with watching(backbone, [m for group in groups for m in group], see):
        for batch in batches(kept):
            backbone.read([kept[index] for index in batch])
    return moments, scales, sum(map(len, kept))


def _add_gram(total: Tensor, rows: Tensor) -> None:
    width = len(total)
    for start in range(0, width, COLUMNS):
        own = slice(start, min(start + COLUMNS, width))
        total[own, start:].addmm_(rows[:, own].T, rows[:, start:])
    for start in range(0, width - COLUMNS, COLUMNS):
        own, behind = slice(start, start + COLUMNS), slice(start + COLUMNS, width)
        total[behind, own] = total[own, behind].T
