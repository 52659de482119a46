"""A basis one decoder layer at a time: what one layer needs is in memory, boundaries on the disk.

Boundary activations are files of the capture format, two at a time; the spectra of a layer are a
file of their own, so that a run goes on at the first layer that is not done.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import torch
from safetensors.torch import save_file

from transplant.allocator import give_back
from transplant.backbones.view import Backbone
from transplant.basis.boundaries import Boundaries, Place
from transplant.basis.config import FitConfig
from transplant.basis.fit import Basis, basis_from_tensors, solve
from transplant.basis.maps import LinearMap
from transplant.basis.one_layer import OneByOne
from transplant.basis.output_moments import OutputMoments
from transplant.basis.shared import groups_by_input, start_of
from transplant.basis.watch import watching
from transplant.files.tensors_on_disk import TensorsOnDisk
from transplant.files.whole_file import whole_file
from transplant.progress import Progress, part_of, unseen
from transplant.text.windows import Window

TOKENS = 4096  # of a batch


@torch.no_grad()
def fit_by_layer(
    backbone: Backbone,
    maps: Sequence[LinearMap],
    windows: Sequence[Window],
    config: FitConfig,
    place: Place,
    progress: Progress = unseen,
) -> Basis:
    """The same basis as `fit_basis`, with the moments of one layer in memory at a time.

    Its directions stay in the files of `place`, as long as these are there.

    Args:
        backbone: decoder-only; its layers may be on the disk.
        maps: of its linear maps, each inside a layer.
        windows: calibration text.
        config: the recipe.
        place: where boundaries and finished layers are kept.
        progress: called after each batch of each layer.

    Raises:
        BackboneError: no layers to go through.
        InputError: the folder holds another run.
        NumericalError: states that are NaN or infinite.
    """
    layers = OneByOne(backbone, windows[0])
    place.open()
    between = Boundaries(backbone, windows, place, TOKENS)
    rows: dict[str, int] = {}
    files: list[Path] = []
    last = max(number for number in (m.layer for m in maps) if number is not None)
    for number in range(last + 1):
        ours = [m for m in maps if m.layer == number]
        if not place.spectra(number).is_file():
            told = part_of(progress, number * len(windows), len(windows), (last + 1) * len(windows))
            found = _fit_layer(layers, number, ours, windows, config, between, told)
            count = {f"{n}.rows": torch.tensor(c) for n, c in found.rows.items()}
            with whole_file(place.spectra(number)) as partial:
                save_file({**found.stored(), **count, "done": torch.ones(1)}, partial)
            place.boundary(number).unlink(missing_ok=True)
            give_back()
        files.append(place.spectra(number))
        stored = TensorsOnDisk(files[-1:])
        rows |= {m.name: int(stored[f"{m.name}.rows"]) for m in ours}
    place.boundary(last + 1).unlink(missing_ok=True)
    return basis_from_tensors(TensorsOnDisk(files), rows)


def _fit_layer(
    layers: OneByOne, number: int, maps: Sequence[LinearMap], windows: Sequence[Window],
    config: FitConfig, between: Boundaries, progress: Progress,
) -> Basis:  # fmt: skip
    """Reads one boundary through a layer, writes the next, and solves the layer's moments."""
    with layers.alone(number) as feed:
        groups = groups_by_input(maps, lambda: feed([start_of(windows[0])], None))
    moments = OutputMoments(groups, layers.backbone.device, held=True)
    with watching(layers.backbone, maps, moments.see):
        carry_up(layers, number, windows, between, progress)
    give_back()  # of the passes: what the solution takes is not on top of it
    with layers.held(number):
        return solve(moments, config)


def carry_up(
    layers: OneByOne, number: int, windows: Sequence[Window], between: Boundaries,
    progress: Progress,
) -> None:  # fmt: skip
    """Reads the boundary below a layer and writes that above it.

    Args:
        layers: of the backbone.
        number: of the layer.
        windows: calibration text.
        between: the boundaries.
        progress: called after each batch.
    """
    place, done = between.place, 0
    with ExitStack() as stack:
        below = stack.enter_context(between.reading(place.boundary(number))) if number else None
        dtype = layers.backbone.dtype
        write = stack.enter_context(between.writing(place.boundary(number + 1), dtype))
        feed = stack.enter_context(layers.alone(number))
        for batch in between.batches:
            hidden = None if below is None else below(batch)
            write(feed([windows[index] for index in batch], hidden), batch)
            done += len(batch)
            progress(done, len(windows), f"layer {number}")
