"""Directions of gradients one decoder layer at a time: both texts in boundaries on the disk.

    up     the states of the text that is to be kept, and those of the domain
    down   at each layer: S = E[x x'] of the kept text from its boundary, G = sum_t g_t x_t' of the
           domain from its own and the gradient above; the directions of the layer, and on

In memory: one layer, G and S of its maps, and a batch; see `descent` and `gradients`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from transplant.allocator import give_back
from transplant.backbones.view import Backbone
from transplant.basis.boundaries import Boundaries, Place
from transplant.basis.config import GRADIENTS, FitConfig
from transplant.basis.descent import Pass, descend
from transplant.basis.fisher import TOKENS
from transplant.basis.fit import Basis
from transplant.basis.gradients import InputMoments, solve_readings
from transplant.basis.layerwise import TOKENS as TOKENS_UP
from transplant.basis.layerwise import carry_up, climb, last_layer, read_layers, spectra_tensors
from transplant.basis.maps import LinearMap
from transplant.basis.one_layer import OneByOne
from transplant.basis.slopes import SlopeSums
from transplant.progress import Progress, part_of, unseen
from transplant.text.windows import Window

KEPT = "kept"  # folder of the boundaries of the text that is to be kept


def fit_gradients_by_layer(
    backbone: Backbone,
    maps: Sequence[LinearMap],
    windows: Sequence[Window],
    kept: Sequence[Window],
    config: FitConfig,
    place: Place,
    progress: Progress = unseen,
) -> Basis:
    """The same basis as `fit_gradients`, with what one layer needs in memory at a time.

    Its directions stay in the files of `place`, as long as these are there.

    Args:
        backbone: decoder-only; its layers may be on the disk.
        maps: of its linear maps, each inside a layer.
        windows: of the domain.
        kept: of the text that is to be kept.
        config: the recipe.
        place: where boundaries, gradients and finished layers are kept.
        progress: called after each batch of each layer, upwards and downwards.

    Raises:
        BackboneError: no layers to go through.
        InputError: the folder holds another run.
        NumericalError: states, gradients or inputs that are NaN or infinite.
    """
    layers = OneByOne(backbone, windows[0])
    place.open()
    beside = Place(place.folder / KEPT, place.run)
    beside.open()
    spared = Boundaries(backbone, kept, beside, TOKENS_UP)
    domain = Boundaries(backbone, windows, place, TOKENS)
    top = last_layer(maps)
    steps = top * len(kept), 4 * len(layers) * len(windows)  # a layer forward is a step a window
    if not any(place.spectra(number).is_file() for number in range(len(layers))):
        climb(layers, spared, top, part_of(progress, 0, steps[0], sum(steps)))

    def fitted(
        number: int, maps: Sequence[LinearMap], run: Pass, progress: Progress
    ) -> dict[str, Tensor]:
        return _fit_layer(layers, number, maps, spared, windows, config, run, progress)

    files: list[Path] = []
    told = part_of(progress, steps[0], steps[1], sum(steps))
    for number, file in descend(layers, maps, domain, place.spectra, fitted, told):
        beside.boundary(number).unlink(missing_ok=True)
        files.append(file)
    return read_layers(files, maps, GRADIENTS)


def _fit_layer(
    layers: OneByOne, number: int, maps: Sequence[LinearMap], spared: Boundaries,
    windows: Sequence[Window], config: FitConfig, run: Pass, progress: Progress,
) -> dict[str, Tensor]:  # fmt: skip
    """Reads both texts through a layer and solves the directions of its maps."""
    if not maps:
        run(SlopeSums(maps, layers.backbone.device), progress)
        return {}
    size = len(spared.windows), 3 * len(windows)  # a pass forward and backward takes three
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
