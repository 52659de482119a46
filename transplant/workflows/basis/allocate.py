"""Ranks for a stored basis: one budget, the score of each direction, the best allocation."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections import ChainMap
from collections.abc import Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from transplant.basis.allocate import (
    allocate_exact,
    allocate_greedy,
    allocate_one_rank,
    allocate_uniform,
    cost_of,
    kept,
)
from transplant.basis.choices import Choices, choices_of
from transplant.basis.config import AllocateConfig, lora_rank
from transplant.errors import InputError
from transplant.ranks import current
from transplant.workflows.basis.far import check_inside_layers
from transplant.workflows.basis.spec import AllocateJob
from transplant.workflows.basis.stored import check_basis, claim, read_basis, store_basis
from transplant.workflows.corpus import read_as_needed, windows_of
from transplant.workflows.out_folder import check_out, with_files

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from transplant.backbones.view import Backbone
    from transplant.basis.fit import Basis
    from transplant.basis.maps import LinearMap
    from transplant.workflows.basis.stored import StoredBasis
    from transplant.workflows.work import Work

FISHER, UNIFORM = "fisher", "uniform"


def run_allocate(work: Work, job: AllocateJob) -> dict[str, Any]:
    """Allocates ranks and stores them with the basis, whose directions stay as they are.

    Returns:
        The report: the rank of each map, parameters, the share of the score that is kept by this,
        the greedy and the uniform allocation, seconds; the files in `out`, where it is asked for.

    Raises:
        NotFoundError: no such basis.
        InputError: a budget that does not pay for the smallest ranks, or ranks that are not kept.
        BackboneError: no layers to go through one at a time.
    """
    from transplant.basis.maps import select_maps
    from transplant.pictures.ranks import write_allocation

    check_out(job.out)
    hosted, _, _ = check_basis(work, job.name)
    claim(work, str(hosted.module), hosted.backbone, replace=True)
    began, config = time.monotonic(), job.config
    stored = read_basis(work, job.name, layer_at_a_time=job.layer_at_a_time)
    basis = basis_of(stored)
    maps = select_maps(stored.backbone, str(stored.record.fit["layers"]))
    budget = budget_of(config, maps)
    _check_ranks(config, basis, job.name)
    # The sizes alone decide whether the budget pays: before the scores are computed.
    placeholder = choices_by_map(basis, {n: s.energies for n, s in basis.spectra.items()}, config)
    (allocate_one_rank if config.score == UNIFORM else allocate_uniform)(placeholder, budget)
    scores, tensors = _scores(work, stored, maps, basis, job)
    choices = choices_by_map(basis, scores, config)
    _note_budget(work, choices, budget, config, int(stored.record.fit["max_rank"]))
    ranks = allocate(choices, budget, config.score)
    parameters = cost_of(choices, ranks)
    record = dataclasses.replace(
        stored.record, ranks=ranks,
        allocation={**dataclasses.asdict(config), "budget": budget, "parameters": parameters},
    )  # fmt: skip
    seconds = time.monotonic() - began
    results = {**stored.entry.manifest.results, "allocate_seconds": seconds}
    made = stored.entry.manifest.made
    entry = store_basis(
        work, stored.name, stored.backbone, record, tensors, replace=True, results=results,
        corpus=made.get("corpus"), split=made.get("split"),
    )  # fmt: skip
    if job.layer_at_a_time and config.score == FISHER:
        shutil.rmtree(_fisher_folder(work, stored))
    report = {
        "name": job.name, "backbone": stored.backbone.name, "score": config.score,
        "budget": budget, "parameters": parameters, "ranks": ranks,
        "maps": [
            {"name": m.name, "layer": m.layer, "type": m.type, "rank": ranks[m.name],
             "kept": len(scores[m.name])}
            for m in maps
        ],
        "share_kept": shares(choices, _whole_score(scores, basis, config.score), budget, ranks),
        "sha256": entry.manifest.sha256, "path": str(entry.path), "seconds": seconds,
    }  # fmt: skip
    return with_files(report, job.out, write_allocation)


def basis_of(stored: StoredBasis) -> Basis:
    """The spectra of a stored basis."""
    from transplant.basis.fit import basis_from_tensors

    return basis_from_tensors(stored.tensors, stored.record.rows)


def budget_of(config: AllocateConfig, maps: Sequence[LinearMap]) -> int:
    """The budget in parameters: as it was given, or that of a LoRA on the same maps."""
    if config.budget is not None:
        return config.budget
    return lora_rank(str(config.budget_like)) * sum(m.out + m.into for m in maps)


def choices_by_map(
    basis: Basis, scores: Mapping[str, Sequence[float] | Tensor], config: AllocateConfig
) -> dict[str, Choices]:
    """The ranks that each map may take as an adapter: rank r has r^2 parameters."""
    return {
        name: choices_of(
            [float(s) for s in scores[name][: spectrum.kept]], lambda r: r * r,
            step=config.step, r_min=config.r_min, r_max=config.r_max,
        )
        for name, spectrum in basis.spectra.items()
    }  # fmt: skip


def allocate(choices: Mapping[str, Choices], budget: int, score: str) -> dict[str, int]:
    """Ranks by a score; `uniform` gives every map the same one.

    Raises:
        InputError: a budget that does not pay for the smallest ranks, or for one rank in all maps.
    """
    return (allocate_one_rank if score == UNIFORM else allocate_exact)(choices, budget)


def energy_scores(basis: Basis) -> dict[str, Tensor]:
    """The share of each direction in the energy of its map [k]: comparable between maps."""
    return {
        name: s.energies[: s.kept] / s.energies.sum().clamp_min(1e-300)
        for name, s in basis.spectra.items()
    }


def score_directions(
    work: Work, backbone: Backbone, maps: Sequence[LinearMap], basis: Basis, score: str,
    data: str, window: int, tokens: int,
) -> dict[str, Tensor]:  # fmt: skip
    """The score of every direction [k], by map; `uniform` has that of the energy, for reports.

    Args:
        work: the setting.
        backbone: the frozen language model.
        maps: of its linear maps.
        basis: of those maps.
        score: `energy`, `fisher` or `uniform`.
        data: what `fisher` reads, of its training split.
        window: tokens per window.
        tokens: that it reads.
    """
    from transplant.basis.fisher import fisher_scores

    if score != FISHER:
        return energy_scores(basis)
    splits = read_as_needed(work, data, train=tokens)
    windows = windows_of(backbone, splits.train, window, tokens)
    with work.reporter.progress(f"Fisher of {backbone.name}") as progress, backbone.frozen():
        return fisher_scores(backbone, maps, basis.spectra, windows, current(), progress)


def _scores(
    work: Work, stored: StoredBasis, maps: Sequence[LinearMap], basis: Basis, job: AllocateJob
) -> tuple[dict[str, Tensor], Mapping[str, Tensor]]:
    """The scores by map, and the tensors to store with them: those of before stay on the disk."""
    data, window = job.data or stored.corpus, int(stored.record.fit["window"])
    score, tokens, backbone = job.config.score, job.config.tokens, stored.backbone
    if job.layer_at_a_time and score == FISHER:
        scores = _fisher_by_layer(work, stored, maps, basis, data, window, tokens)
    else:
        scores = score_directions(work, backbone, maps, basis, score, data, window, tokens)
    fisher = {f"{n}.{FISHER}": s for n, s in scores.items()} if score == FISHER else {}
    return scores, ChainMap(fisher, cast("MutableMapping[str, Tensor]", stored.tensors))


def _fisher_by_layer(
    work: Work, stored: StoredBasis, maps: Sequence[LinearMap], basis: Basis, data: str,
    window: int, tokens: int,
) -> dict[str, Tensor]:  # fmt: skip
    """The Fisher scores by map; what passes between layers stands beside checkpoints."""
    from transplant.basis.boundaries import Place
    from transplant.basis.layerwise_fisher import fisher_by_layer

    check_inside_layers(maps)
    backbone = stored.backbone
    splits = read_as_needed(work, data, train=tokens)
    windows = windows_of(backbone, splits.train, window, tokens)
    run = {"basis": stored.entry.manifest.sha256, "split": splits.fingerprint,
           "window": window, "tokens": tokens}  # fmt: skip
    folder = _fisher_folder(work, stored)
    with work.reporter.progress(f"Fisher of {backbone.name}") as progress:
        return fisher_by_layer(backbone, maps, basis.spectra, windows, Place(folder, run), progress)


def _fisher_folder(work: Work, stored: StoredBasis) -> Path:
    """Where a run layer by layer leaves its scores, needed until they are stored."""
    backbone = stored.backbone.name
    return work.library.checkpoint_path(stored.name, backbone).with_suffix(".fisher")


def shares(
    choices: Mapping[str, Choices], whole: float, budget: int, ranks: Mapping[str, int]
) -> dict[str, float]:
    """The share of the whole score that three allocations keep."""
    tried = {
        "exact": allocate_exact(choices, budget), "greedy": allocate_greedy(choices, budget),
        "uniform": allocate_uniform(choices, budget), "chosen": ranks,
    }  # fmt: skip
    return {name: kept(choices, found) / whole for name, found in tried.items()}


def _whole_score(scores: Mapping[str, Tensor], basis: Basis, score: str) -> float:
    """The sum over all directions; Fisher information is known of those that are kept alone."""
    if score == FISHER:
        return sum(float(one.sum()) for one in scores.values())
    return float(sum(spectrum.kept > 0 for spectrum in basis.spectra.values()))  # 1 for each map


def _note_budget(
    work: Work, choices: Mapping[str, Choices], budget: int, config: AllocateConfig, max_rank: int
) -> None:
    """Warns of a budget that pays for the largest rank of every map: nothing is allocated."""
    most = sum(one.costs[-1] for one in choices.values())
    if budget >= most:
        wider = f"`basis_fit(..., max_rank={2 * max_rank})`"
        if config.r_max is not None:
            wider = f"`basis_allocate(..., r_max={2 * config.r_max})`"
        work.reporter.warn(
            f"the budget of {budget:,} parameters pays for the largest rank of all "
            f"{len(choices)} maps, {most:,} parameters: nothing is chosen between them. For larger "
            f"ranks: {wider}"
        )


def _check_ranks(config: AllocateConfig, basis: Basis, name: str) -> None:
    """Refuses ranks that the basis has no directions for: too few tokens, or a small `max_rank`.

    Raises:
        InputError: it says how many there are.
    """
    most = max(spectrum.kept for spectrum in basis.spectra.values())
    wanted = max(config.r_min, config.r_max or 0)
    if wanted > most:
        raise InputError(
            f"{name} keeps no more than {most} directions of a map",
            expected=f"`r_min` and `r_max` up to {most}", found=wanted,
            hint="`basis_fit(...)` with more `tokens` and a larger `max_rank`",
        )  # fmt: skip
