"""Directions along which the loss wants a map to read: what a rank can learn, and leave alone.

    G = sum_t g_t x_t'            g_t = dLoss / dy_t, over the text of the domain
    S = E[x x']                   over a text that is to be kept
    G S^-1/2 = U diag(s) V'       R_r = c V_r' S^-1/2
    log c = E log rms(W x)        so that entries of B are shares of what the map gives there

Of all dW = B R with R [r, in] and E|dW x|^2 = 1 on the text that is kept, those of R_r fall
steepest: what a rank misses of |G S^-1/2|^2 is the sum of the s_k^2 that it drops. z = R_r x / c is
white there, so E|dW x|^2 = c^2 |B|_F^2. c is a mean of logarithms: in models of today a few
positions bear activations a thousand times as large as all others (arXiv 2402.17762), and where
they set the step of a map it is too long for the rest. To begin at the gradient is LoRA-GA's idea
(arXiv 2407.05000); there it starts both factors, here one of them stays there, measured by another
text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional

from transplant.backbones.view import Backbone
from transplant.basis.config import GRADIENTS, FitConfig
from transplant.basis.fit import Basis, read_windows
from transplant.basis.log_mean import LogMean
from transplant.basis.maps import LinearMap
from transplant.basis.moment import SecondMoment
from transplant.basis.output_moments import check_outputs
from transplant.basis.shared import groups_by_input, start_of
from transplant.basis.slopes import slopes_of
from transplant.basis.spectrum import Spectrum, eigenbasis, eigenbasis_of_product
from transplant.basis.watch import rows_at, watching
from transplant.errors import NumericalError
from transplant.progress import Progress, part_of, unseen
from transplant.ranks import ALONE, Ranks
from transplant.text.windows import Window


def fit_gradients(
    backbone: Backbone,
    maps: Sequence[LinearMap],
    windows: Sequence[Window],
    kept: Sequence[Window],
    config: FitConfig,
    ranks: Ranks = ALONE,
    progress: Progress = unseen,
) -> Basis:
    """Reads both texts once and finds the directions of every map.

    Args:
        backbone: the frozen language model; nothing of it is changed.
        maps: of its linear maps.
        windows: of the domain, read forward and backward.
        kept: of the text that is to be kept, read forward.
        config: the recipe.
        ranks: of several processes, each reads the windows that are its turn.
        progress: called after each batch, and after each map.

    Raises:
        NumericalError: gradients or inputs that are NaN or infinite, naming the map.
    """
    backward = 3 * len(windows)  # a pass forward and backward takes about three forward
    steps = backward + len(kept) + len(maps)
    slopes = slopes_of(backbone, maps, windows, ranks, part_of(progress, 0, backward, steps))
    moments = InputMoments(backbone, maps, kept[0])
    moments.read(kept, ranks, part_of(progress, backward, len(kept), steps))
    told = part_of(progress, steps - len(maps), len(maps), steps)
    return solve_readings(moments, slopes, config, told)


def solve_readings(
    moments: InputMoments, slopes: Mapping[str, Tensor], config: FitConfig,
    progress: Progress = unseen,
) -> Basis:  # fmt: skip
    """The directions of maps whose weights are in memory, of what was read of both texts.

    Args:
        moments: of the text that is to be kept.
        slopes: G [out, in] of each map, by name, of the domain.
        config: the recipe.
        progress: called after each map.
    """
    spectra: dict[str, Spectrum] = {}
    for name, spectrum in moments.readings(slopes, config):
        spectra[name] = spectrum
        progress(len(spectra), len(slopes), "maps")
    return Basis(spectra, dict.fromkeys(spectra, moments.rows), GRADIENTS)


def gradients_bytes(maps: Sequence[LinearMap], max_rank: int) -> int:
    """What gradients, moments and directions of these maps take at most, with one map's solution.

    Args:
        maps: whose sums are in memory at one time.
        max_rank: directions of each that are kept, in double precision.
    """
    found = 8 * sum(m.into * min(m.out, m.into, max_rank) for m in maps)
    sums = sum(4 * m.out * m.into + 8 * m.into**2 for m in maps)
    return sums + found + max(16 * m.out * m.into + 48 * m.into**2 for m in maps)


class InputMoments:
    """E[x x'] of what maps read, once for those that read the same, and the size of what they give.

    Args:
        backbone: the frozen language model.
        maps: of its linear maps.
        window: a text that tells which maps read the same.
        read: runs the maps on windows; None for the whole backbone.
    """

    def __init__(
        self, backbone: Backbone, maps: Sequence[LinearMap], window: Window,
        read: Callable[[Sequence[Window]], object] | None = None,
    ) -> None:  # fmt: skip
        run = read or backbone.read
        self._backbone = backbone
        self._groups = groups_by_input(maps, lambda: run([start_of(window)]))
        self._of = {
            g[0].name: SecondMoment(g[0].into, g[0].beside(backbone.device)) for g in self._groups
        }
        self._sizes = {m.name: LogMean() for group in self._groups for m in group}

    @property
    def rows(self) -> int:
        """How many rows the map with the most was told of."""
        return max(moment.count for moment in self._of.values())

    @torch.no_grad()
    def read(
        self, windows: Sequence[Window], ranks: Ranks = ALONE, progress: Progress = unseen
    ) -> None:
        """Adds what the maps read and give over the token positions of windows; see `watched`."""
        with self.watched():
            read_windows(self._backbone, windows, ranks, progress)
        for seen in (*self._of.values(), *self._sizes.values()):
            seen.add_up(ranks)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Adds what the maps read and give inside the block.

        Raises:
            NumericalError: inputs or outputs that are NaN or infinite, naming the map.
        """

        def see(of: LinearMap, read: Tensor, output: Tensor, mask: Tensor) -> None:
            if of.name in self._of:
                try:
                    self._of[of.name].update(rows_at(read, mask))
                except NumericalError as error:
                    raise NumericalError(
                        f"inputs of {of.name} are NaN or infinite", hint="`dtype='float32'`"
                    ) from error
            check_outputs(of, output, mask)
            rows = rows_at(output, mask).float()
            self._sizes[of.name].update(rows if of.bias is None else rows - of.bias.float())

        maps = [found for group in self._groups for found in group]
        with watching(self._backbone, maps, see):
            yield

    def output_scale(self, of: LinearMap) -> float:
        """c of a map: what is usual for the root mean square of W x at a position; 0 of zeros."""
        return self._sizes[of.name].mean()

    def whitened(self, config: FitConfig) -> Iterator[tuple[LinearMap, Tensor, float]]:
        """Each map with the `whitener` of what it reads, one for a group, and its scale c."""
        for group in self._groups:
            white = whitener(self._of[group[0].name].mean(), config)
            for found in group:
                yield found, white, self.output_scale(found)

    def readings(
        self, slopes: Mapping[str, Tensor], config: FitConfig
    ) -> Iterator[tuple[str, Spectrum]]:
        """The directions of each map, with its name; see `reading_directions`."""
        for found, white, scale in self.whitened(config):
            yield found.name, reading_directions(slopes[found.name], white, scale, config)


def whitener(moment: Tensor, config: FitConfig) -> Tensor:
    """T [in, k] of S^-1 = T T', S shrunk: rows x T are white. R is the same for every such T.

    Args:
        moment: S [in, in], float64.
        config: `shrunk` and `floor`; where nothing can lie under the floor T is triangular, which
            takes a tenth of the time, else it has no directions under it.

    Raises:
        NumericalError: S holds NaN or infinity, or no decomposition is orthonormal.
    """
    mean = moment.diagonal().mean()
    if config.shrunk / len(moment) > config.floor and torch.isfinite(mean) and mean > 0:
        unit = torch.eye(len(moment), dtype=moment.dtype, device=moment.device)
        lower = torch.linalg.cholesky((1 - config.shrunk) * moment + config.shrunk * mean * unit)
        return torch.linalg.solve_triangular(lower, unit, upper=False).T
    found = eigenbasis(moment, floor=config.floor, shrinkage=config.shrunk)
    return found.vectors / found.scales


def reading_directions(slope: Tensor, white: Tensor, scale: float, config: FitConfig) -> Spectrum:
    """R' [in, k] and the energies s^2 of G S^-1/2, the steepest first; in the processor's memory.

    Args:
        slope: G [out, in].
        white: T [in, t] of S^-1 = T T', float64.
        scale: c; a map that gives nothing but zeros has no direction.
        config: `floor` and `max_rank`.
    """
    into, found = len(white), white.shape[1]
    if not scale or not found:
        return Spectrum(torch.zeros(into, 0).double(), torch.zeros(into).double())
    inside = white.T @ slope.to(white).T  # (G T)' [t, out]
    steep = eigenbasis_of_product(inside, floor=config.floor, max_rank=config.max_rank)
    rows = scale * (white @ steep.vectors)
    return Spectrum(rows.cpu(), functional.pad(steep.energies, (0, into - found)).cpu())
