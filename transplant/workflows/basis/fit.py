"""A basis of a backbone: text in, directions of each linear map and their spectra out."""

from __future__ import annotations

import dataclasses
import shutil
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from transplant.basis.config import GRADIENTS, OUTPUTS
from transplant.basis.record import BasisRecord
from transplant.errors import InputError
from transplant.memory import check_memory
from transplant.ranks import current
from transplant.workflows.basis.far import check_inside_layers, check_stored_whole, far_backbone
from transplant.workflows.basis.spec import FitJob
from transplant.workflows.basis.stored import claim, store_basis
from transplant.workflows.corpus import read_as_needed, windows_of

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone
    from transplant.basis.boundaries import Place
    from transplant.basis.fit import Basis
    from transplant.basis.maps import LinearMap
    from transplant.text.windows import Window
    from transplant.workflows.work import Work

SHARES = (0.9, 0.99)  # of the energy, in reports
RETAINED = "prose"  # what an adapter in directions of gradients leaves as it is, unless told


def run_fit(work: Work, job: FitJob, *, replace: bool = False) -> dict[str, Any]:
    """Fits a basis and stores it.

    Returns:
        The report: maps, rows, directions, ranks that hold 90 and 99 % of the energy, seconds.

    Raises:
        ExistsError: the name is taken.
        InputError: a pattern that names no map, too few tokens, or what cannot be fitted together.
        BackboneError: quantised weights, or weights that are not in memory.
        MemoryLimitError: the moments do not fit into memory.
        StorageError: the disk has no room for what passes between layers.
        NumericalError: outputs that are NaN or infinite.
    """
    from transplant.backbones.arithmetic import name_of
    from transplant.basis.boundaries import Place
    from transplant.basis.fit import check_tokens
    from transplant.basis.gradients import gradients_bytes
    from transplant.basis.maps import select_maps
    from transplant.basis.output_moments import statistics_bytes

    _check_job(job)
    claim(work, job.name, job.backbone, replace=replace)
    check_stored_whole(work, job.backbone)
    began, config = time.monotonic(), job.config
    backbone = (
        far_backbone(work, job.backbone) if job.layer_at_a_time else work.backbone(job.backbone)
    )
    maps = select_maps(backbone, config.layers)
    if job.layer_at_a_time:
        check_inside_layers(maps)
    by_gradients = config.directions == GRADIENTS
    takes = gradients_bytes if by_gradients else partial(statistics_bytes, held=job.layer_at_a_time)
    together = _together(maps, job.layer_at_a_time)
    fewer = "fewer `layers`" if job.layer_at_a_time else "`layer_at_a_time`, or fewer `layers`"
    needed = {"the moments of these maps": max(takes(some, config.max_rank) for some in together)}
    check_memory(f"a basis of {backbone.name}", needed, fewer)
    splits = read_as_needed(work, job.data, train=config.tokens)
    windows = windows_of(backbone, splits.train, config.window, config.tokens)
    wanted = min(config.max_rank, max(m.into if by_gradients else m.out for m in maps))
    check_tokens(backbone, windows, config.tokens, wanted)
    facts: dict[str, Any] = {"corpus": job.data, "split": splits.fingerprint}
    scratch = work.library.checkpoint_path(job.name, job.backbone).with_suffix(".layers")
    run = {"weights": backbone.weights_sha256, "dtype": name_of(backbone.dtype),
           "split": splits.fingerprint, **dataclasses.asdict(config)}  # fmt: skip
    kept: list[Window] = []
    if by_gradients:
        kept, facts["retain"] = _kept(work, job, backbone, wanted)
        run["retain"] = facts["retain"]["split"]
    basis = _fitted(work, job, backbone, maps, windows, kept, Place(scratch, run))
    _note_dead(work, basis)
    record = BasisRecord(
        rows={name: int(rows) for name, rows in basis.rows.items()},
        fit={**dataclasses.asdict(config), **facts},
    )
    types = by_type(basis, maps)
    seconds = time.monotonic() - began
    entry = store_basis(
        work, job.name, backbone, record, basis.stored(), replace=replace,
        results={"types": types, "seconds": seconds}, corpus=job.data, split=splits.fingerprint,
    )  # fmt: skip
    report = {
        "name": f"{job.name}@{job.backbone}", "backbone": job.backbone,
        "directions_of": config.directions, **facts, "maps": len(maps),
        "rows": max(basis.rows.values()),
        "directions": sum(s.kept for s in basis.spectra.values()), "types": types,
        "sha256": entry.manifest.sha256, "path": str(entry.path), "seconds": seconds,
    }  # fmt: skip
    if job.layer_at_a_time:
        shutil.rmtree(scratch)
    return report


def _check_job(job: FitJob) -> None:
    """Refuses what cannot be fitted together.

    Raises:
        InputError: text to keep without gradients.
    """
    if job.retain is not None and job.config.directions == OUTPUTS:
        raise InputError(
            "`retain` is for directions of gradients", expected=f"`directions={GRADIENTS!r}`",
            found=f"`directions={OUTPUTS!r}`", hint="the same without `retain`",
        )  # fmt: skip


def _together(maps: list[LinearMap], layer_at_a_time: bool) -> list[list[LinearMap]]:
    """The maps whose sums are in memory at one time, for each such time."""
    if not layer_at_a_time:
        return [maps]
    return [[m for m in maps if m.layer == number] for number in {m.layer for m in maps}]


def _kept(
    work: Work, job: FitJob, backbone: Backbone, wanted: int
) -> tuple[list[Window], dict[str, str]]:
    """The text that directions of gradients are to leave as it is, and what it is.

    Raises:
        InputError: too few tokens.
    """
    from transplant.basis.fit import check_tokens

    retain, config = job.retain or RETAINED, job.config
    splits = read_as_needed(work, retain, train=config.tokens)
    kept = windows_of(backbone, splits.train, config.window, config.tokens)
    check_tokens(backbone, kept, config.tokens, wanted)
    return kept, {"corpus": retain, "split": splits.fingerprint}


def _fitted(
    work: Work, job: FitJob, backbone: Backbone, maps: list[LinearMap], windows: list[Window],
    kept: list[Window], place: Place,
) -> Basis:  # fmt: skip
    """The basis; what a layer at a time leaves in `place` is needed until it is stored."""
    from transplant.basis.by_layer import fit_by_layer
    from transplant.basis.fit import fit_basis
    from transplant.basis.gradients import fit_gradients

    config = job.config
    with work.reporter.progress(f"basis of {backbone.name}") as progress:
        if job.layer_at_a_time:
            return fit_by_layer(backbone, maps, windows, config, place, progress, kept=kept)
        with backbone.frozen():
            if config.directions == GRADIENTS:
                return fit_gradients(backbone, maps, windows, kept, config, current(), progress)
            return fit_basis(backbone, maps, windows, config, current(), progress)


def _note_dead(work: Work, basis: Basis) -> None:
    """Warns of maps that gave nothing but zeros.

    Raises:
        InputError: all of them.
    """
    dead = [name for name, spectrum in basis.spectra.items() if not spectrum.kept]
    if len(dead) == len(basis.spectra):
        raise InputError("every linear map gives zeros on this text", found=", ".join(dead[:3]))
    if dead:
        work.reporter.warn(f"{len(dead)} maps give zeros on this text: {', '.join(dead[:3])}")


def by_type(basis: Basis, maps: list[LinearMap]) -> dict[str, dict[str, Any]]:
    """For each type of map: how many there are, their width, and the mean rank of SHARES."""
    found: dict[str, dict[str, Any]] = {}
    for kind in dict.fromkeys(m.type for m in maps):
        ours = [m for m in maps if m.type == kind]
        row: dict[str, Any] = {"maps": len(ours), "width": ours[0].out}
        for share in SHARES:
            ranks = [rank_of_share(basis, m.name, share) for m in ours]
            row[f"rank_{share:.0%}".rstrip("%")] = sum(ranks) / len(ranks)
        found[kind] = row
    return found


def rank_of_share(basis: Basis, name: str, share: float) -> int:
    """How many directions of a map hold a share of its energy."""
    energies = basis.spectra[name].energies
    total = energies.sum()
    return int((energies.cumsum(0) < share * total).sum()) + 1 if total > 0 else 0
