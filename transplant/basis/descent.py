"""Gradients of the loss one decoder layer at a time: up through the boundaries, down again.

    up     h_0 .. h_L     the states that each layer reads, kept on the disk
    top    g_L            the gradient of the loss by what the last layer leaves
    down   g_l = J_l' g_{l+1}, layer by layer; the maps of the layer are seen with their gradients

In memory: one layer, what is summed at its maps and a batch. On the disk: L + 1 boundaries, two
gradients. What a layer comes to is a file of its own, so that a run goes on at the layer that was
not done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from transplant.allocator import give_back
from transplant.basis.boundaries import Boundaries
from transplant.basis.fisher import with_gradients
from transplant.basis.layerwise import climb, first_layer, write_layer
from transplant.basis.maps import LinearMap
from transplant.basis.one_layer import OneByOne
from transplant.basis.watch import watching
from transplant.progress import Progress, part_of
from transplant.training.losses import next_token_loss

STORED = torch.float32
"""The type of gradients on the disk: half precision has too few exponents for them."""


class Sums(Protocol):
    """What is summed at maps from what they read, give and get as gradients."""

    def see(self, of: LinearMap, read: Tensor, output: Tensor, mask: Tensor, /) -> None:
        """Is told of each call; see `watching`."""
        ...

    def check(self) -> None:
        """Refuses what is no number."""
        ...


Pass = Callable[[Sums, Progress], None]
"""Runs a layer forward and backward over all batches; the sums see its maps, and are checked after
each batch."""
Finish = Callable[[int, Sequence[LinearMap], Pass, Progress], Mapping[str, Tensor]]
"""The number of a layer, which of its maps are asked for (it may be none) and its pass, which it
runs once, to the tensors that are kept of it."""


def descend(
    layers: OneByOne, maps: Sequence[LinearMap], between: Boundaries,
    file_of: Callable[[int], Path], finish: Finish, progress: Progress,
) -> Iterator[tuple[int, Path]]:  # fmt: skip
    """Goes up, and down to the lowest layer of some maps; gives each layer once it is done.

    Args:
        layers: of the backbone.
        maps: of its linear maps, each inside a layer.
        between: the boundaries.
        file_of: where it is kept what a layer comes to.
        finish: what that is.
        progress: called after each batch of each layer, upwards and downwards.

    Yields:
        The number of each layer and its file, the highest first.

    Raises:
        NumericalError: states or gradients that are NaN or infinite.
    """
    place, size, top = between.place, len(between.windows), len(layers)
    first = first_layer(maps)
    steps = 2 * top * size
    if not any(file_of(number).is_file() for number in range(top)):
        _go_up(layers, between, part_of(progress, 0, top * size, steps))
    for turn, number in enumerate(reversed(range(first, top)), start=top):
        file = file_of(number)
        if not file.is_file():
            ours = [m for m in maps if m.layer == number]
            told = part_of(progress, turn * size, size, steps)
            run = partial(_run_down, layers, number, ours, between, number > first)
            with layers.held(number):
                found = finish(number, ours, run, told)
            write_layer(file, found)
            del found
            give_back()
        place.gradient(number + 1).unlink(missing_ok=True)
        place.boundary(number).unlink(missing_ok=True)
        yield number, file


@torch.no_grad()
def _go_up(layers: OneByOne, between: Boundaries, progress: Progress) -> None:
    """Writes every boundary, and the gradient at the top, where they are not there."""
    place, top = between.place, len(layers)
    if between.is_whole(place.gradient(top)):
        return
    climb(layers, between, top, progress)
    _loss_gradients(layers, between)
    give_back()
    place.boundary(top).unlink(missing_ok=True)


def _loss_gradients(layers: OneByOne, between: Boundaries) -> None:
    """Writes the gradient of each sequence's loss (summed over its tokens) by the last states."""
    place, windows, top = between.place, between.windows, len(layers)
    with (
        between.reading(place.boundary(top)) as read,
        between.writing(place.gradient(top), STORED) as write,
        layers.behind() as run,
    ):
        for batch in between.batches:
            hidden = read(batch).requires_grad_()
            with torch.enable_grad():
                states = run([windows[index] for index in batch], hidden).labelled()
                loss = next_token_loss(layers.backbone, states.h_last, states.labels) * len(states)
            (gradient,) = torch.autograd.grad(loss, hidden)
            write(gradient, batch)


def _run_down(
    layers: OneByOne, number: int, maps: Sequence[LinearMap], between: Boundaries, further: bool,
    sums: Sums, progress: Progress,
) -> None:  # fmt: skip
    """Runs one layer again with gradients: from those above it, to those below if it goes on."""
    place, windows, done = between.place, between.windows, 0
    with ExitStack() as stack:
        above = stack.enter_context(between.reading(place.gradient(number + 1)))
        below = stack.enter_context(between.reading(place.boundary(number))) if number else None
        write = None
        if further:
            write = stack.enter_context(between.writing(place.gradient(number), STORED))
        stack.enter_context(watching(layers.backbone, maps, sums.see))
        stack.enter_context(with_gradients(maps))
        feed = stack.enter_context(layers.alone(number))
        for batch in between.batches:
            hidden = None if below is None else below(batch).requires_grad_(further)
            left = feed([windows[index] for index in batch], hidden)
            left.backward(above(batch).to(left.dtype))
            sums.check()
            if write is not None:
                assert hidden is not None
                assert hidden.grad is not None
                write(hidden.grad, batch)
            done += len(batch)
            progress(done, len(windows), f"layer {number}, downwards")
