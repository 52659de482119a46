"""Bytes on the disk of work layer by layer when it is fullest, told from shapes alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from transplant.basis.config import GRADIENTS, FitConfig
from transplant.basis.maps import LinearMap

HEADER = 512  # of a file, for each map


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What the files of a run take, in bytes each."""

    boundary: int
    """The states between two layers, of the text that is read."""
    gradient: int = 0
    """The gradient by them."""
    spared: int = 0
    """The states between two layers, of the text that is to be kept."""
    results: Sequence[int]
    """What each layer comes to, the lowest first; 0 of a layer that no map is in."""

    def upwards(self) -> Iterator[tuple[int, int]]:
        """Each layer of a run that only goes up, and the bytes that are there at the most then."""
        there = 0
        for number, own in enumerate(self.results):
            there += own  # beside the boundary below, but for the first layer, and that above
            yield number, min(number + 1, 2) * self.boundary + there

    def downwards(self, first: int, top: int) -> Iterator[tuple[int, int]]:
        """Each layer of a run that goes up and down again, the highest first, and the same.

        Args:
            first: the lowest layer that it goes down to.
            top: the highest one that the text that is to be kept is read at.
        """
        layers, there = len(self.results), 0
        whole_way = top * self.spared + layers * self.boundary + self.gradient
        for number in reversed(range(first, layers)):
            there += self.results[number]
            gradients = 2 if number > first else 1  # above the layer, and below it
            down = min(number, top) * self.spared + number * self.boundary
            down += gradients * self.gradient + there
            yield number, max(down, whole_way if number == layers - 1 else 0)


def spectra_bytes(maps: Sequence[LinearMap], config: FitConfig) -> int:
    """What the spectra of these maps take at most: directions in float32, energies in float64."""
    widths = [m.into if config.directions == GRADIENTS else m.out for m in maps]
    return sum(4 * w * min(w, config.max_rank) + 8 * w + HEADER for w in widths)


def results_by_layer(
    maps: Sequence[LinearMap], layers: int, bytes_of: Callable[[Sequence[LinearMap]], int]
) -> list[int]:
    """What each of so many layers comes to, by the maps that are in it."""
    return [bytes_of([m for m in maps if m.layer == number]) for number in range(layers)]


def still_needed(steps: Iterable[tuple[int, int]], file_of: Callable[[int], Path]) -> int:
    """The most bytes of all layers that are not done yet.

    Args:
        steps: the number of each layer, and the bytes that are there at the most then.
        file_of: what a layer comes to, by its number: it is there once the layer is done.
    """
    return max((most for number, most in steps if not file_of(number).is_file()), default=0)
