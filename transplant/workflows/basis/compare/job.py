"""A comparison as one resumable job: a search of rates, seeds, and intervals of differences."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from transplant.basis.config import FitConfig
from transplant.errors import InputError, NotFoundError
from transplant.files.cells import Cells
from transplant.workflows.basis.compare.summary import summary
from transplant.workflows.basis.spec import CompareJob
from transplant.workflows.corpus import read_as_needed, windows_of
from transplant.workflows.out_folder import check_out, with_files

if TYPE_CHECKING:
    from transplant.workflows.basis.compare.cell import Texts
    from transplant.workflows.basis.compare.method import Once
    from transplant.workflows.basis.compare.table import Row
    from transplant.workflows.work import Work

MOST_FURTHER = 3  # rates beyond the three of a search


def run_compare(work: Work, job: CompareJob) -> dict[str, Any]:
    """Runs the cells that are missing, reports all of them and draws them into `out`.

    Rates are chosen on the calibration split, at the first seed; every number of the report is of
    documents that no step and no choice has seen.

    Returns:
        The report: for each method its rate, held-out loss, forgetting, seconds and peak memory,
        and the difference of BASIS to it with a paired interval over documents; the files.

    Raises:
        NotFoundError: a method that is not in the table.
        InputError: PEFT is not installed, or `out` holds another comparison.
        BackboneError: weights that are not in memory.
        StorageError: `out` may not be written to, or its disk is full.
        TransplantError: what draws is not installed.
    """
    from transplant.backbones.arithmetic import name_of
    from transplant.basis.maps import select_maps
    from transplant.pictures.adapters import write_comparison
    from transplant.workflows.basis.compare.cell import Texts, as_lists
    from transplant.workflows.basis.compare.method import Once
    from transplant.workflows.basis.compare.peak import peak_bytes
    from transplant.workflows.basis.compare.table import METHODS
    from transplant.workflows.basis.scores import score_text

    check_out(job.out, page=False)
    chosen = {name: METHODS[name] for name in check_methods(job, METHODS)}
    backbone, config = work.backbone(job.backbone), job.config
    backbone.require_weights("a comparison of adapters")
    maps = select_maps(backbone, job.layers)
    data = job.data or job.domain
    splits = read_as_needed(
        work, data, train=config.train_tokens, calibration=config.calibration_tokens,
        evaluation=job.eval_tokens,
    )  # fmt: skip
    retain = job.retain or job.forget
    kept_tokens = FitConfig.tokens if retain == job.forget else 0
    other = read_as_needed(work, job.forget, train=kept_tokens, evaluation=job.eval_tokens)
    spared = other if kept_tokens else read_as_needed(work, retain, train=FitConfig.tokens)
    texts = Texts(
        windows_of(backbone, splits.train, config.window, config.train_tokens),
        windows_of(backbone, spared.train, config.window, FitConfig.tokens),
        windows_of(backbone, splits.calibration, config.window, config.calibration_tokens),
        {
            "domain": windows_of(backbone, splits.eval, config.window, job.eval_tokens),
            "other": windows_of(backbone, other.eval, config.window, job.eval_tokens),
        },
    )
    recipe = {k: v for k, v in dataclasses.asdict(config).items()
              if k not in ("learning_rate", "seed")}  # fmt: skip
    run = {
        "backbone": backbone.weights_sha256, "dtype": name_of(backbone.dtype),
        "split": splits.fingerprint, "other": other.fingerprint, "retain": spared.fingerprint,
        "layers": job.layers,
        "rank": job.rank, "recipe": recipe, "eval_tokens": job.eval_tokens,
    }  # fmt: skip
    cells = Cells(job.out / "cells", run)
    raw = cells.read("raw")
    if raw is None:
        scored = score_text(work, backbone, texts.judged)
        raw = cells.write("raw", {"scores": {n: as_lists(s) for n, s in scored.items()}})
    found: dict[str, list[dict[str, Any]]] = {}
    searched: dict[str, list[dict[str, Any]]] = {}
    once = Once(partial(peak_bytes, backbone.device))
    for name, row in chosen.items():
        searched[name], found[name] = _cells_of(work, job, backbone, name, row, texts, cells, once)
    report = {
        "backbone": job.backbone, "domain": job.domain, "corpus": data, "other": job.forget,
        "retain": retain,
        "budget": job.rank * sum(m.out + m.into for m in maps), "like": f"lora:r={job.rank}",
        "maps": len(maps), "run": run,
        "seeds": [job.config.seed + number for number in range(job.seeds)],
        **summary(raw, searched, found, {n: row.ablation for n, row in chosen.items()}),
    }  # fmt: skip
    return with_files(report, job.out, write_comparison)


def check_methods(job: CompareJob, known: Mapping[str, Row]) -> Sequence[str]:
    """The methods of a job, in the order of the table.

    Raises:
        NotFoundError: one that is not there.
        InputError: PEFT is not installed.
    """
    from importlib.util import find_spec

    strangers = [name for name in job.methods if name not in known]
    if strangers:
        raise NotFoundError(
            f"no method {strangers[0]!r}", expected=f"of {', '.join(known)}", hint="`methods`"
        )
    if find_spec("peft") is None:
        raise InputError(
            "the comparison needs the package peft", hint="pip install 'abi-transplant[lora]'"
        )
    return [name for name in known if not job.methods or name in job.methods]


def _cells_of(
    work: Work, job: CompareJob, backbone: Any, name: str, row: Row, texts: Texts, cells: Cells,
    once: Once,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:  # fmt: skip
    """The cells of a method: those of the search, and those at its best rate, seed by seed.

    A seed that could not be trained at that rate is among them: it belongs to the report.
    """

    def cell(rate: float, seed: int) -> dict[str, Any]:
        from transplant.workflows.basis.compare.cell import run_cell

        key = f"{name}-{rate:g}-{seed}"
        config = dataclasses.replace(job.config, learning_rate=rate, seed=seed)
        stored = cells.read(key)
        if stored is None:
            made = run_cell(work, backbone, job.layers, name, row, texts, job.rank, config, once)
            # What a package, or memory, is missing for is tried again.
            stored = made if "missing" in made else cells.write(key, made)
        return stored

    first = job.config.seed
    search = {rate: cell(rate, first) for rate in row.rates}
    works = {rate: one for rate, one in search.items() if "unavailable" not in one}
    if not works:
        return [*search.values()], []

    def best_rate() -> float:
        return min(works, key=lambda rate: works[rate]["calibration"])

    for further in further_rates(row.rates, best_rate):
        search[further] = cell(further, first)
        if "unavailable" in search[further]:
            break
        works[further] = search[further]
    best = works[best_rate()]
    more = [cell(best["rate"], first + number) for number in range(1, job.seeds)]
    return [*search.values()], [best, *more]


def further_rates(rates: Sequence[float], best: Callable[[], float]) -> Iterator[float]:
    """Rates beyond those of a search, for as long as the best one is at its end.

    Args:
        rates: that were tried, ascending, each a factor above the one before.
        best: the best of all that were tried so far.
    """
    factor, low, high = rates[1] / rates[0], rates[0], rates[-1]
    for _ in range(MOST_FURTHER):
        now = best()
        if now == high:
            high = float(f"{high * factor:.3g}")
            yield high
        elif now == low:
            low = float(f"{low / factor:.3g}")
            yield low
        else:
            return
