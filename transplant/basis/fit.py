"""Directions of all maps of a backbone, from one reading of calibration text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from transplant.backbones.view import Backbone
from transplant.basis.config import GRADIENTS, OUTPUTS, FitConfig
from transplant.basis.maps import LinearMap
from transplant.basis.output_moments import OutputMoments
from transplant.basis.shared import groups_by_input, start_of
from transplant.basis.spectrum import Spectrum
from transplant.basis.watch import watching
from transplant.errors import InputError
from transplant.progress import Progress, part_of, unseen
from transplant.ranks import ALONE, Ranks
from transplant.text.windows import Window, batches


@dataclass(frozen=True)
class Basis:
    """The spectrum of each map, by name, and the rows that it was taken over."""

    spectra: Mapping[str, Spectrum]
    rows: Mapping[str, int]
    directions: str = OUTPUTS
    """Of what: see `FitConfig.directions`. Those of gradients are columns of R' [in, k]."""

    def stored(self) -> Mapping[str, Tensor]:
        """The directions in float32 and the energies in float64, by map; `basis_from_tensors`.

        Directions of outputs are U [out, k], those of gradients R' [in, k].
        """
        return _Parts(self.spectra, PARTS[self.directions])


PARTS, ENERGIES = {OUTPUTS: "U", GRADIENTS: "Rt"}, "energies"


def basis_from_tensors(
    tensors: Mapping[str, Tensor], rows: Mapping[str, int], directions: str = OUTPUTS
) -> Basis:
    """What `Basis.stored` gave out; U is orthonormal to single precision.

    Spectra of tensors that stay on the disk stay there, too.
    """
    return Basis(_Spectra(tensors, rows, PARTS[directions]), rows, directions)


@dataclass(frozen=True)
class _Spectra(Mapping[str, Spectrum]):
    """Spectra of the maps in `rows`, each made of its tensors when it is asked for."""

    tensors: Mapping[str, Tensor]
    rows: Mapping[str, int]
    part: str

    def __getitem__(self, name: str) -> Spectrum:
        return Spectrum(self.tensors[f"{name}.{self.part}"], self.tensors[f"{name}.{ENERGIES}"])

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class _Parts(Mapping[str, Tensor]):
    """The tensors of spectra, each made when it is asked for."""

    spectra: Mapping[str, Spectrum]
    part: str

    def __getitem__(self, key: str) -> Tensor:
        name, _, part = key.rpartition(".")
        spectrum = self.spectra[name]
        return spectrum.energies if part == ENERGIES else spectrum.vectors.float().contiguous()

    def __iter__(self) -> Iterator[str]:
        return (f"{name}.{part}" for name in self.spectra for part in (self.part, ENERGIES))

    def __len__(self) -> int:
        return 2 * len(self.spectra)


def check_tokens(backbone: Backbone, windows: Sequence[Window], tokens: int, wanted: int) -> None:
    """Refuses text that cannot fill the directions that are asked for.

    Args:
        backbone: whose rows count: an encoder-decoder has one for every second token.
        windows: what there is.
        tokens: what was asked for, for the message.
        wanted: directions of the widest map.

    Raises:
        InputError: fewer rows than directions: the moment has no more than one for each row.
    """
    found = sum(len(backbone.rows_of(window).labels) for window in windows)
    if found < wanted:
        raise InputError(
            f"too few tokens for {wanted} directions of a map",
            expected=f"{wanted:,} tokens or more, ten times as many for a steady basis",
            found=f"{found:,} rows of {tokens:,} tokens",
            hint="more `tokens`, more text, or a smaller `max_rank`",
        )


def moments_of(
    backbone: Backbone,
    maps: Sequence[LinearMap],
    windows: Sequence[Window],
    ranks: Ranks = ALONE,
    progress: Progress = unseen,
) -> OutputMoments:
    """The second moment of W x of each map over the token positions of windows.

    Args:
        backbone: the frozen language model.
        maps: of its linear maps.
        windows: calibration text.
        ranks: of several processes, each reads the windows that are its turn.
        progress: called after each batch.

    Raises:
        NumericalError: an output that is NaN or infinite, naming the map.
    """
    groups = groups_by_input(maps, lambda: backbone.read([start_of(windows[0])]))
    found = OutputMoments(groups, backbone.device)
    with watching(backbone, maps, found.see):
        read_windows(backbone, windows, ranks, progress)
    found.add_up(ranks)
    return found


def read_windows(
    backbone: Backbone, windows: Sequence[Window], ranks: Ranks, progress: Progress
) -> None:
    """Has a backbone read windows, each process those that are its turn.

    Args:
        backbone: the frozen language model.
        windows: of all processes.
        ranks: of the processes.
        progress: called after each batch.
    """
    mine = [windows[index] for index in ranks.turns(len(windows))]
    done = 0
    for batch in batches(mine):
        backbone.read([mine[index] for index in batch])
        done += len(batch)
        progress(done, len(mine), "windows")


def solve(moments: OutputMoments, config: FitConfig, progress: Progress = unseen) -> Basis:
    """The spectra of moments; a map that gave nothing but zeros has no direction."""
    spectra: dict[str, Spectrum] = {}
    found = moments.spectra(floor=config.floor, shrinkage=config.shrunk, max_rank=config.max_rank)
    for name, one in found:
        spectra[name] = Spectrum(one.vectors.cpu(), one.energies.cpu())
        progress(len(spectra), len(moments), "maps")
    return Basis(spectra, {name: moment.count for name, moment in moments.items()})


@torch.no_grad()
def fit_basis(
    backbone: Backbone,
    maps: Sequence[LinearMap],
    windows: Sequence[Window],
    config: FitConfig,
    ranks: Ranks = ALONE,
    progress: Progress = unseen,
) -> Basis:
    """Reads windows once and decomposes the second moment of every map; see `moments_of`."""
    steps = len(windows) + len(maps)
    reading = part_of(progress, 0, len(windows), steps)
    moments = moments_of(backbone, maps, windows, ranks, reading)
    return solve(moments, config, part_of(progress, len(windows), len(maps), steps))
