"""Directions of gradients one decoder layer at a time: both texts in boundaries on the disk.

    up     the states of the text that is to be kept, and those of the domain
    down   at each layer: S = E[x x'] of the kept text from its boundary, G = sum_t g_t x_t' of the
           domain from its own and the gradient above; the directions of the layer, and on

In memory: one layer, G and S of its maps, and a batch; see `descent` and `gradients`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from transplant.allocator import give_back
from transplant.basis.boundaries import Boundaries
from transplant.basis.config import GRADIENTS, FitConfig
from transplant.basis.descent import STORED as GRADIENT_TYPE
from transplant.basis.descent import Pass, descend
from transplant.basis.disk_needs import Sizes, results_by_layer, spectra_bytes, still_needed
from transplant.basis.fit import Basis
from transplant.basis.gradients import InputMoments, solve_readings
from transplant.basis.layerwise import (
    carry_up,
    climb,
    first_layer,
    last_layer,
    read_layers,
    spectra_tensors,
)
from transplant.basis.maps import LinearMap
from transplant.basis.one_layer import OneByOne
from transplant.basis.slopes import SlopeSums
from transplant.progress import Progress, part_of


def fit_downwards(
    layers: OneByOne, maps: Sequence[LinearMap], domain: Boundaries, spared: Boundaries,
    config: FitConfig, progress: Progress,
) -> Basis:  # fmt: skip
    """Directions of gradients; see `by_layer.fit_by_layer`.

    Args:
        layers: of the backbone.
        maps: of its linear maps, each inside a layer.
        domain: the text of the domain.
        spared: the text that is to be kept, in a folder inside that of `domain`.
        config: the recipe.
        progress: called after each batch of each layer, upwards and downwards.
    """
    place, beside, top = domain.place, spared.place, last_layer(maps)
    place.open(_needed(maps, len(layers), domain, spared, config))
    beside.open()
    size = len(domain.windows), len(spared.windows)
    steps = top * size[1], 4 * len(layers) * size[0]  # a layer forward is a step a window
    if not any(place.spectra(number).is_file() for number in range(len(layers))):
        climb(layers, spared, top, part_of(progress, 0, steps[0], sum(steps)))

    def fitted(
        number: int, maps: Sequence[LinearMap], run: Pass, progress: Progress
    ) -> dict[str, Tensor]:
        return _fit_layer(layers, number, maps, spared, size[0], config, run, progress)

    files: list[Path] = []
    told = part_of(progress, steps[0], steps[1], sum(steps))
    for number, file in descend(layers, maps, domain, place.spectra, fitted, told):
        beside.boundary(number).unlink(missing_ok=True)
        files.append(file)
    return read_layers(files, maps, GRADIENTS)


def _needed(
    maps: Sequence[LinearMap], layers: int, domain: Boundaries, spared: Boundaries,
    config: FitConfig,
) -> int:  # fmt: skip
    """The bytes on the disk when it is fullest; at last the spectra are stored beside the files."""
    results = results_by_layer(maps, layers, partial(spectra_bytes, config=config))
    dtype = domain.backbone.dtype
    sizes = Sizes(
        boundary=domain.file_bytes(dtype), gradient=domain.file_bytes(GRADIENT_TYPE),
        spared=spared.file_bytes(dtype), results=results,
    )  # fmt: skip
    steps = sizes.downwards(first_layer(maps), last_layer(maps))
    return max(still_needed(steps, domain.place.spectra), 2 * sum(results))


def _fit_layer(
    layers: OneByOne, number: int, maps: Sequence[LinearMap], spared: Boundaries,
    windows: int, config: FitConfig, run: Pass, progress: Progress,
) -> dict[str, Tensor]:  # fmt: skip
    """Reads both texts through a layer and solves the directions of its maps."""
    if not maps:
        run(SlopeSums(maps, layers.backbone.device), progress)
        return {}
    size = len(spared.windows), 3 * windows  # a pass forward and backward takes three
    with torch.no_grad():
        with layers.alone(number) as feed:
            moments = InputMoments(
                layers.backbone, maps, spared.windows[0], lambda windows: feed(windows, None)
            )
        with moments.watched():
            carry_up(layers, number, spared, part_of(progress, 0, size[0], sum(size)), keep=False)
    give_back()
    sums = SlopeSums(maps, layers.backbone.device)
    run(sums, part_of(progress, size[0], size[1], sum(size)))
    give_back()  # of the passes: what the solution takes is not on top of it
    return spectra_tensors(solve_readings(moments, sums.of, config))
