"""Fisher scores one decoder layer at a time: up through the boundaries, down again by gradients.

    up     h_0 .. h_L     the states that each layer reads, kept on the disk
    top    g_L            the gradient of the loss by what the last layer leaves
    down   g_l = J_l' g_{l+1}, layer by layer; at each map of the layer its directions are scored

In memory: one layer, its directions and a batch. On the disk: L + 1 boundaries, two gradients. The
scores of a layer are a file of their own, so that a run goes on at the layer that was not done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from transplant.allocator import give_back
from transplant.backbones.view import Backbone
from transplant.basis.boundaries import Boundaries, Place
from transplant.basis.fisher import TOKENS, DirectionSums, with_gradients
from transplant.basis.layerwise import carry_up
from transplant.basis.maps import LinearMap
from transplant.basis.one_layer import OneByOne
from transplant.basis.spectrum import Spectrum
from transplant.basis.watch import watching
from transplant.files.whole_file import whole_file
from transplant.progress import Progress, part_of, unseen
from transplant.text.windows import Window
from transplant.training.losses import next_token_loss

GRADIENTS = torch.float32
"""The type of gradients on the disk: half precision has too few exponents for them."""


def fisher_by_layer(
    backbone: Backbone,
    maps: Sequence[LinearMap],
    spectra: Mapping[str, Spectrum],
    windows: Sequence[Window],
    place: Place,
    progress: Progress = unseen,
) -> dict[str, Tensor]:
    """The same scores as `fisher_scores` [k] each, with one layer in memory at a time.

    Args:
        backbone: decoder-only; its layers may be on the disk.
        maps: of its linear maps, each inside a layer.
        spectra: by the name of the map.
        windows: calibration text, a sequence each.
        place: where boundaries, gradients and finished layers are kept.
        progress: called after each batch of each layer, upwards and downwards.

    Raises:
        BackboneError: no layers to go through.
        InputError: the folder holds another run.
        NumericalError: states or gradients that are NaN or infinite.
    """
    layers = OneByOne(backbone, windows[0])
    place.open()
    between = Boundaries(backbone, windows, place, TOKENS)
    steps, size = 2 * len(layers), len(windows)
    first = min(number for number in (m.layer for m in maps) if number is not None)
    ours = {n: [m for m in maps if m.layer == n] for n in range(first, len(layers))}
    found: dict[str, Tensor] = {}
    if not place.scores(first).is_file():
        _go_up(layers, windows, between, progress)
    for turn, number in enumerate(reversed(ours), start=len(layers)):
        file = place.scores(number)
        if not file.is_file():
            told = part_of(progress, turn * size, size, steps * size)
            further = number > first
            scores = _scored(layers, number, ours[number], spectra, windows, between, told, further)
            with whole_file(file) as partial:
                save_file({**scores, "done": torch.ones(1)}, partial)
            give_back()
        place.gradient(number + 1).unlink(missing_ok=True)
        place.boundary(number).unlink(missing_ok=True)
        found |= load_file(file)
    return {m.name: found[m.name] for m in maps}


def _scored(
    layers: OneByOne, number: int, maps: Sequence[LinearMap], spectra: Mapping[str, Spectrum],
    windows: Sequence[Window], between: Boundaries, progress: Progress, further: bool,
) -> dict[str, Tensor]:  # fmt: skip
    """The scores of one layer; its directions are in memory no longer than that."""
    sums = DirectionSums(maps, spectra, layers.backbone.device)
    with watching(layers.backbone, maps, sums.see):
        _carry_down(layers, number, windows, between, progress, further, sums.check)
    return sums.scores(len(windows))


@torch.no_grad()
def _go_up(
    layers: OneByOne, windows: Sequence[Window], between: Boundaries, progress: Progress
) -> None:
    """Writes every boundary, and the gradient at the top, where they are not there."""
    place, size = between.place, len(windows)
    top = len(layers)
    down = any(place.scores(number).is_file() for number in range(top))
    if down or between.is_whole(place.gradient(top)):
        return
    for number in range(top):
        if not between.is_whole(place.boundary(number + 1)):
            told = part_of(progress, number * size, size, 2 * top * size)
            carry_up(layers, number, windows, between, told)
            give_back()
    _loss_gradients(layers, windows, between)
    give_back()
    place.boundary(top).unlink(missing_ok=True)


def _loss_gradients(layers: OneByOne, windows: Sequence[Window], between: Boundaries) -> None:
    """Writes the gradient of each sequence's loss (summed over its tokens) by the last states."""
    place, top = between.place, len(layers)
    with (
        between.reading(place.boundary(top)) as read,
        between.writing(place.gradient(top), GRADIENTS) as write,
        layers.behind() as run,
    ):
        for batch in between.batches:
            hidden = read(batch).requires_grad_()
            with torch.enable_grad():
                states = run([windows[index] for index in batch], hidden).labelled()
                loss = next_token_loss(layers.backbone, states.h_last, states.labels) * len(states)
            (gradient,) = torch.autograd.grad(loss, hidden)
            write(gradient, batch)


def _carry_down(
    layers: OneByOne, number: int, windows: Sequence[Window], between: Boundaries,
    progress: Progress, further: bool, check: Callable[[], None],
) -> None:  # fmt: skip
    """Runs one layer again with gradients: from those above it, to those below if it goes on.

    `check` is called after each batch.
    """
    place, done = between.place, 0
    with ExitStack() as stack:
        above = stack.enter_context(between.reading(place.gradient(number + 1)))
        below = stack.enter_context(between.reading(place.boundary(number))) if number else None
        write = None
        if further:
            write = stack.enter_context(between.writing(place.gradient(number), GRADIENTS))
        stack.enter_context(with_gradients(layers.backbone))
        feed = stack.enter_context(layers.alone(number))
        for batch in between.batches:
            hidden = None if below is None else below(batch).requires_grad_()
            left = feed([windows[index] for index in batch], hidden)
            left.backward(above(batch).to(left.dtype))
            check()
            if hidden is not None and write is not None:
                assert hidden.grad is not None
                write(hidden.grad, batch)
            done += len(batch)
            progress(done, len(windows), f"layer {number}, downwards")
