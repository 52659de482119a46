"""Ranks for a stored basis: one budget, the score of each direction, the best allocation."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections import ChainMap
from collections.abc import Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from transplant.basis.allocate import cost_of
from transplant.basis.budget import (
    allocate,
    budget_of,
    check_felt,
    check_pays,
    choices_by_map,
    energy_scores,
    shares,
    whole_score,
)
from transplant.basis.choices import Choices
from transplant.basis.config import FISHER, AllocateConfig
from transplant.errors import InputError
from transplant.ranks import current
from transplant.validation import refuse_idle
from transplant.workflows.basis.far import check_inside_layers
from transplant.workflows.basis.spec import AllocateJob
from transplant.workflows.basis.stored import check_basis, claim, read_basis, store_basis
from transplant.workflows.corpus import read_as_needed, windows_of
from transplant.workflows.out_folder import check_out

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from transplant.backbones.view import Backbone
    from transplant.basis.fit import Basis
    from transplant.basis.maps import LinearMap
    from transplant.workflows.basis.stored import StoredBasis
    from transplant.workflows.work import Work


def run_allocate(work: Work, job: AllocateJob) -> dict[str, Any]:
    """Allocates ranks and stores them with the basis, whose directions stay as they are.

    What cannot be drawn, where that was asked for, is not stored either.

    Returns:
        The report: the rank of each map, parameters, the share of the score that is kept by this,
        the greedy and the uniform allocation, seconds; the files in `out`, where it is asked for.

    Raises:
        NotFoundError: no such basis.
        InputError: a budget that does not pay for the smallest ranks, ranks that are not kept, text
            for a score that reads none, or Fisher information that is 0 everywhere.
        BackboneError: no layers to go through one at a time.
    """
    from transplant.basis.maps import select_maps
    from transplant.pictures.ranks import draw_allocation, write_allocation

    check_out(job.out)
    hosted, record, _ = check_basis(work, job.name)
    claim(work, str(hosted.module), hosted.backbone, replace=True)
    began, config = time.monotonic(), job.config.settled(record.directions)
    if config.score != FISHER:
        refuse_idle(
            f"`score={config.score!r}`", f"`score={FISHER!r}`, which reads text", data=job.data
        )
    stored = read_basis(work, job.name, layer_at_a_time=job.layer_at_a_time)
    basis = basis_of(stored)
    maps = select_maps(stored.backbone, str(stored.record.fit["layers"]))
    budget = budget_of(config, maps)
    _check_ranks(config, basis, job.name)
    check_pays(maps, basis, config, budget)  # before the scores are computed
    scores, tensors = _scores(work, stored, maps, basis, job, config)
    if config.score == FISHER:
        check_felt(scores)
    choices = choices_by_map(maps, basis, scores, config)
    _note_budget(work, choices, budget, config, int(stored.record.fit["max_rank"]))
    ranks = allocate(choices, budget, config.score, maps)
    parameters = cost_of(choices, ranks)
    record = dataclasses.replace(
        stored.record, ranks=ranks,
        allocation={**dataclasses.asdict(config), "budget": budget, "parameters": parameters},
    )  # fmt: skip
    report = {
        "name": job.name, "backbone": stored.backbone.name, "score": config.score,
        "budget": budget, "parameters": parameters, "ranks": ranks,
        "maps": [
            {"name": m.name, "layer": m.layer, "type": m.type, "rank": ranks[m.name],
             "kept": len(scores[m.name])}
            for m in maps
        ],
        "share_kept": shares(choices, whole_score(scores, basis, config.score), budget, ranks),
    }  # fmt: skip
    drawn = None if job.out is None else draw_allocation(report)  # before the library changes
    seconds = time.monotonic() - began
    results = {**stored.entry.manifest.results, "allocate_seconds": seconds}
    made = stored.entry.manifest.made
    entry = store_basis(
        work, stored.name, stored.backbone, record, tensors, replace=True, results=results,
        corpus=made.get("corpus"), split=made.get("split"),
    )  # fmt: skip
    if job.layer_at_a_time and config.score == FISHER:
        shutil.rmtree(_fisher_folder(work, stored))
    report |= {"sha256": entry.manifest.sha256, "path": str(entry.path), "seconds": seconds}
    if job.out is None or drawn is None:
        return report
    return {**report, "files": write_allocation(job.out, report, drawn)}


def basis_of(stored: StoredBasis) -> Basis:
    """The spectra of a stored basis."""
    from transplant.basis.fit import basis_from_tensors

    record = stored.record
    return basis_from_tensors(stored.tensors, record.rows, record.directions)


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
    work: Work, stored: StoredBasis, maps: Sequence[LinearMap], basis: Basis, job: AllocateJob,
    config: AllocateConfig,
) -> tuple[dict[str, Tensor], Mapping[str, Tensor]]:  # fmt: skip
    """The scores by map, and the tensors to store with them: those of before stay on the disk."""
    data, window = job.data or stored.corpus, int(stored.record.fit["window"])
    score, tokens, backbone = config.score, config.tokens, stored.backbone
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
    from transplant.backbones.arithmetic import name_of
    from transplant.basis.boundaries import Place
    from transplant.basis.layerwise_fisher import fisher_by_layer

    check_inside_layers(maps)
    backbone = stored.backbone
    splits = read_as_needed(work, data, train=tokens)
    windows = windows_of(backbone, splits.train, window, tokens)
    run = {"basis": stored.entry.manifest.sha256, "dtype": name_of(backbone.dtype),
           "split": splits.fingerprint, "window": window, "tokens": tokens}  # fmt: skip
    folder = _fisher_folder(work, stored)
    with work.reporter.progress(f"Fisher of {backbone.name}") as progress:
        return fisher_by_layer(backbone, maps, basis.spectra, windows, Place(folder, run), progress)


def _fisher_folder(work: Work, stored: StoredBasis) -> Path:
    """Where a run layer by layer leaves its scores, needed until they are stored."""
    backbone = stored.backbone.name
    return work.library.checkpoint_path(stored.name, backbone).with_suffix(".fisher")


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
