"""Directions of outputs one decoder layer at a time, on one way up; what all such runs share.

Boundary activations are files of the capture format, two at a time; the spectra of a layer are a
file of their own, so that a run goes on at the first layer that is not done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from transplant.allocator import give_back
from transplant.basis.boundaries import Boundaries
from transplant.basis.config import OUTPUTS, FitConfig
from transplant.basis.disk_needs import Sizes, results_by_layer, spectra_bytes, still_needed
from transplant.basis.fit import Basis, basis_from_tensors, solve
from transplant.basis.maps import LinearMap
from transplant.basis.one_layer import OneByOne
from transplant.basis.output_moments import OutputMoments
from transplant.basis.shared import groups_by_input, start_of
from transplant.basis.watch import watching
from transplant.files.tensors_on_disk import TensorsOnDisk
from transplant.files.whole_file import whole_file
from transplant.progress import Progress, part_of


@torch.no_grad()
def fit_upwards(
    layers: OneByOne, maps: Sequence[LinearMap], between: Boundaries, config: FitConfig,
    progress: Progress,
) -> Basis:  # fmt: skip
    """Directions of outputs; see `by_layer.fit_by_layer`."""
    place, size = between.place, len(between.windows)
    files: list[Path] = []
    last = last_layer(maps)
    place.open(_needed(maps, last + 1, between, config))
    for number in range(last + 1):
        ours = [m for m in maps if m.layer == number]
        if not place.spectra(number).is_file():
            told = part_of(progress, number * size, size, (last + 1) * size)
            found = _fit_layer(layers, number, ours, config, between, told)
            write_layer(place.spectra(number), spectra_tensors(found))
            place.boundary(number).unlink(missing_ok=True)
            give_back()
        files.append(place.spectra(number))
    place.boundary(last + 1).unlink(missing_ok=True)
    return read_layers(files, maps)


def _needed(
    maps: Sequence[LinearMap], layers: int, between: Boundaries, config: FitConfig
) -> int:  # fmt: skip
    """The bytes on the disk when it is fullest; at last the spectra are stored beside the files."""
    results = results_by_layer(maps, layers, partial(spectra_bytes, config=config))
    sizes = Sizes(boundary=between.file_bytes(between.backbone.dtype), results=results)
    return max(still_needed(sizes.upwards(), between.place.spectra), 2 * sum(results))


def first_layer(maps: Sequence[LinearMap]) -> int:
    """The number of the lowest layer that one of these maps is in."""
    return min(number for number in (m.layer for m in maps) if number is not None)


def last_layer(maps: Sequence[LinearMap]) -> int:
    """The number of the highest layer that one of these maps is in."""
    return max(number for number in (m.layer for m in maps) if number is not None)


def spectra_tensors(found: Basis) -> dict[str, Tensor]:
    """The spectra of a layer and the rows that they were taken over; see `read_layers`."""
    rows = {f"{name}.rows": torch.tensor(count) for name, count in found.rows.items()}
    return {**found.stored(), **rows}


def write_layer(file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Writes what a layer has come to, all of it or nothing; the file says that it is done."""
    with whole_file(file) as partial:
        save_file({**tensors, "done": torch.ones(1)}, partial)


def read_layers(
    files: Sequence[Path], maps: Sequence[LinearMap], directions: str = OUTPUTS
) -> Basis:
    """The basis in the files of all layers, where its directions stay.

    Args:
        files: of `write_layer`, of `spectra_tensors`.
        maps: of all of them.
        directions: see `FitConfig.directions`.
    """
    stored = TensorsOnDisk(files)
    rows = {m.name: int(stored[f"{m.name}.rows"]) for m in maps}
    return basis_from_tensors(stored, rows, directions)


def _fit_layer(
    layers: OneByOne, number: int, maps: Sequence[LinearMap], config: FitConfig,
    between: Boundaries, progress: Progress,
) -> Basis:  # fmt: skip
    """Reads one boundary through a layer, writes the next, and solves the layer's moments."""
    with layers.held(number):
        with layers.alone(number) as feed:
            groups = groups_by_input(maps, lambda: feed([start_of(between.windows[0])], None))
        moments = OutputMoments(groups, layers.backbone.device, held=True)
        with watching(layers.backbone, maps, moments.see):
            carry_up(layers, number, between, progress)
        give_back()  # of the passes: what the solution takes is not on top of it
        return solve(moments, config)


def carry_up(
    layers: OneByOne, number: int, between: Boundaries, progress: Progress, *, keep: bool = True
) -> None:
    """Reads the boundary below a layer and writes that above it.

    Args:
        layers: of the backbone.
        number: of the layer.
        between: the boundaries.
        progress: called after each batch.
        keep: whether the boundary above is written.
    """
    place, windows, done = between.place, between.windows, 0
    with ExitStack() as stack:
        below = stack.enter_context(between.reading(place.boundary(number))) if number else None
        write = None
        if keep:
            above = between.writing(place.boundary(number + 1), layers.backbone.dtype)
            write = stack.enter_context(above)
        feed = stack.enter_context(layers.alone(number))
        for batch in between.batches:
            hidden = None if below is None else below(batch)
            left = feed([windows[index] for index in batch], hidden)
            if write is not None:
                write(left, batch)
            done += len(batch)
            progress(done, len(windows), f"layer {number}")


@torch.no_grad()
def climb(layers: OneByOne, between: Boundaries, top: int, progress: Progress) -> None:
    """Writes every boundary up to that below layer `top`, where it is not there.

    Args:
        layers: of the backbone.
        between: the boundaries.
        top: the number of that layer.
        progress: called after each batch of each layer.
    """
    size = len(between.windows)
    for number in range(top):
        if not between.is_whole(between.place.boundary(number + 1)):
            told = part_of(progress, number * size, size, top * size)
            carry_up(layers, number, between, told)
            give_back()
