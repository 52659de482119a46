"""A merge, from a recipe to a backbone of the library and a report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.errors import NumericalError
from transplant.merging.evidence import compare, domains_of
from transplant.merging.parents import Parent, check_alike, find_folder, open_parent
from transplant.merging.recipe import Recipe, read_recipe
from transplant.merging.run_recipe import check_mergekit, run_recipe
from transplant.merging.spec import MergeJob
from transplant.workflows.scratch import scratch_folder
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone

LARGEST_WIDTH = 4  # bytes of a number that is merged, where the recipe does not say


def run_merge(work: Work, job: MergeJob) -> dict[str, Any]:
    """Checks the parents, merges them by the recipe, measures the result and stores it.

    The merged backbone is in the library once it was measured; whatever ends the run before
    leaves nothing.

    Args:
        work: library, device, seed and reporter.
        job: recipe, name, and what is measured.

    Returns:
        The report: parents, `texts` with the merged backbone beside each of them, `hosted` with
        what every module, linear map and adapter of theirs is still worth on it, seconds.

    Raises:
        InputError: a fault of the recipe, parents that differ, or a model that is not here.
        ExistsError: the name is taken.
        BackboneError: a parent that cannot be loaded.
        NumericalError: a merged weight that is NaN or infinite.
        StorageError: the disk is too full.
    """
    began = time.monotonic()
    check_mergekit()
    recipe = read_recipe(job.recipe)
    work.library.check_free(("backbone",), job.name, None, None)
    places = [find_folder(work, recipe, one, job.remote) for one in recipe.references]
    parents = [
        open_parent(work, one, place) for one, place in zip(recipe.references, places, strict=True)
    ]
    check_alike(recipe, parents)
    domains = domains_of(work, job, parents)
    needed = LARGEST_WIDTH * max(parent.numbers for parent in parents)
    work.library.claim(("backbone",), job.name, None, None, needed=needed)
    with scratch_folder(work, job.name, "merging") as scratch:
        folder = scratch / "merged"
        merged = _merge(work, job, recipe, parents, folder, scratch)
        evidence = compare(work, job, domains, parents, merged)
        entry = work.library.store_backbone(
            folder, backbone=merged, taps=merged.all_taps, results=evidence, move=True,
            made=work.made(merge=_made(recipe)), license=_license(work, parents),
            parents={parent.called: parent.weights_sha256 for parent in parents},
        )  # fmt: skip
    return {
        "name": job.name,
        "method": recipe.method,
        "recipe": str(job.recipe),
        "recipe_sha256": recipe.sha256,
        "parents": [
            {"name": parent.called, "weights_sha256": parent.weights_sha256} for parent in parents
        ],
        "family": merged.family,
        "parameters": sum(one.numel() for one in merged.model.parameters()),
        "layers": merged.n_layers,
        "weights_sha256": merged.weights_sha256,
        "tokenizer_sha256": merged.tokenizer_sha256,
        **evidence,
        "path": str(entry.path),
        "seconds": time.monotonic() - began,
        "made": dict(entry.manifest.made),
    }


def _merge(
    work: Work, job: MergeJob, recipe: Recipe, parents: Sequence[Parent], folder: Path,
    scratch: Path,
) -> Backbone:  # fmt: skip
    """Has mergekit merge, and loads what it wrote.

    Raises:
        NumericalError: it is not what the parents' copies would give.
    """
    from transplant.backbones.load import load_backbone

    with work.reporter.progress(f"merging by {recipe.method}") as progress:
        run_recipe(
            recipe.with_folders({parent.called: parent.folder for parent in parents}), folder,
            scratch, seed=work.seed, progress=progress,
        )  # fmt: skip
    work.reporter.note(f"loading {job.name}")
    merged = load_backbone(
        job.name, path=folder, device=work.device, dtype=work.dtype,
        remembered=work.library.checked_file,
    )  # fmt: skip
    first = parents[0]
    if merged.tokenizer_sha256 != first.tokenizer_sha256 or merged.family != first.family:
        raise NumericalError(
            f"mergekit wrote another model than the parents are: {merged.family}",
            expected=f"{first.family}, tokenizer {first.tokenizer_sha256[:12]}",
            found=f"tokenizer {merged.tokenizer_sha256[:12]}",
        )
    shapes = {name: tuple(one.shape) for name, one in merged.model.named_parameters()}
    if not recipe.has_slices and shapes != first.shapes:
        odd = sorted(n for n in {*shapes, *first.shapes} if shapes.get(n) != first.shapes.get(n))
        raise NumericalError("mergekit wrote tensors of other shapes", found=odd[0])
    return merged


def _made(recipe: Recipe) -> dict[str, Any]:
    return {
        "method": recipe.method, "recipe": recipe.plain, "sha256": recipe.sha256,
        "mergekit": metadata.version("mergekit"),
    }  # fmt: skip


def _license(work: Work, parents: Sequence[Parent]) -> str | None:
    """The licence of all parents, where the library knows one and the same of each."""
    held = [parent.place for parent in parents if work.library.holds_backbone(parent.place)]
    if len(held) < len(parents):
        return None
    found = {work.library.find("backbone", name).manifest.license for name in held}
    return found.pop() if len(found) == 1 else None
