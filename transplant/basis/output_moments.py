"""Second moments of the outputs of all maps, each summed where that costs least.

    y = W x        K = E[y y'] = W E[x x'] W'

A gate and its neighbour, or q, k and v, read the same x, which is often narrower than what they
give: the moment of x is summed once for all of them then, and K is exact all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from transplant.basis.maps import LinearMap
from transplant.basis.moment import SecondMoment, is_finite
from transplant.basis.spectrum import Spectrum, eigenbasis, eigenbasis_of_product, root_of
from transplant.basis.watch import rows_at
from transplant.errors import NumericalError
from transplant.ranks import Ranks


@dataclass(frozen=True)
class OutputMoment:
    """K of one map, by what was summed."""

    of: LinearMap
    seen: SecondMoment
    """Of y, or of x."""
    at_inputs: bool
    """Whether it is that of x."""

    @property
    def count(self) -> int:
        """The rows."""
        return self.seen.count

    def mean(self) -> Tensor:
        """K [out, out], float64; W must be in memory where x was summed.

        Raises:
            NumericalError: no rows.
        """
        if not self.at_inputs:
            return self.seen.mean()
        weight = self.of.weight.detach().to(self.seen.yy.device, torch.float64)
        return weight @ self.seen.mean() @ weight.T


class OutputMoments(Mapping[str, OutputMoment]):
    """The moments of maps, by name; mergeable: two shards are one.

    Args:
        groups: of maps that read the same input; see `groups_by_input`.
        device: where sums are kept of maps whose weights are on the disk.
        held: whether such weights are in memory when K is asked for; where not, outputs are summed.
    """

    def __init__(
        self, groups: Sequence[Sequence[LinearMap]], device: torch.device, *, held: bool = False
    ) -> None:
        self._of: dict[str, OutputMoment] = {}
        self._sums: list[SecondMoment] = []
        self._fed_by: set[str] = set()
        for group in groups:
            place = group[0].beside(device)
            known = held or not any(m.weight.is_meta for m in group)
            narrower = known and at_inputs(group)
            if narrower:
                sums = [SecondMoment(group[0].into, place)] * len(group)
                self._fed_by.add(group[0].name)
            else:
                sums = [SecondMoment(m.out, place) for m in group]
                self._fed_by |= {m.name for m in group}
            self._sums += dict.fromkeys(sums)
            self._of |= {m.name: OutputMoment(m, s, narrower)
                         for m, s in zip(group, sums, strict=True)}  # fmt: skip

    def __getitem__(self, name: str) -> OutputMoment:
        """The moment of a map."""
        return self._of[name]

    def __iter__(self) -> Iterator[str]:
        """The names of the maps."""
        return iter(self._of)

    def __len__(self) -> int:
        """How many maps there are."""
        return len(self._of)

    def see(self, of: LinearMap, read: Tensor, output: Tensor, mask: Tensor) -> None:
        """Adds what a map was given and gave, see `watching`; its bias is left out.

        Raises:
            NumericalError: outputs at positions that are NaN or infinite, naming the map.
        """
        moment = self._of[of.name]
        check_outputs(of, output, mask)
        if of.name not in self._fed_by:
            return
        if moment.at_inputs:
            moment.seen.update(rows_at(read, mask))
            return
        rows = rows_at(output, mask)
        moment.seen.update(rows if of.bias is None else rows.double() - of.bias.double())

    def merge(self, other: OutputMoments) -> None:
        """Adds what other ones of the same maps have seen, as if all rows had come here.

        Raises:
            ShapeError: of other widths.
        """
        for own, more in zip(self._sums, other._sums, strict=True):
            own.merge(more)

    def add_up(self, ranks: Ranks) -> None:
        """Adds what the other processes have seen; all have the same sums then."""
        for one in self._sums:
            one.add_up(ranks)

    def spectra(
        self, *, floor: float, shrinkage: float, max_rank: int
    ) -> Iterator[tuple[str, Spectrum]]:
        """The eigenbasis of each map, with its name; see `eigenbasis`.

        Raises:
            NumericalError: no rows, or no decomposition.
        """
        solve = partial(eigenbasis, floor=floor, shrinkage=shrinkage, max_rank=max_rank)
        solve_product = partial(
            eigenbasis_of_product, floor=floor, shrinkage=shrinkage, max_rank=max_rank
        )
        root: tuple[SecondMoment, Tensor] | None = None
        for name, one in self._of.items():
            if not one.at_inputs or one.of.out <= one.of.into:
                yield name, solve(one.mean())
                continue
            if root is None or root[0] is not one.seen:  # those of a group stand together
                root = one.seen, root_of(one.seen.mean())
            weight = one.of.weight.detach().to(root[1].device, torch.float64)
            yield name, solve_product(weight @ root[1])


def at_inputs(group: Sequence[LinearMap]) -> bool:
    """Whether the moment of what these maps read is smaller than those of all that they give."""
    return group[0].into ** 2 < sum(m.out**2 for m in group)


def statistics_bytes(maps: Sequence[LinearMap], max_rank: int, *, held: bool = False) -> int:
    """What the moments and directions of these maps take at most, with one map's solution.

    At most: maps that read the same input have one moment together.

    Args:
        maps: whose moments are in memory at one time.
        max_rank: directions of each that are kept, in double precision.
        held: as in `OutputMoments`.
    """
    summed = [m.out if m.weight.is_meta and not held else min(m.out, m.into) for m in maps]
    moments = 8 * sum(width**2 for width in summed)
    found = 8 * sum(m.out * min(m.out, m.into, max_rank) for m in maps)
    return moments + found + 8 * max(2 * m.out * m.into for m in maps) + 48 * max(summed) ** 2


def check_outputs(of: LinearMap, output: Tensor, mask: Tensor) -> None:
    """Refuses outputs of a map that are no numbers at positions of text; padding may be anything.

    Raises:
        NumericalError: naming the map.
    """
    if is_finite(output):
        return
    if not torch.isfinite(rows_at(output, mask)).all():
        raise NumericalError(
            f"outputs of {of.name} are NaN or infinite", expected="finite numbers",
            hint="`dtype='float32'`, or a backbone whose weights are numbers",
        )  # fmt: skip
