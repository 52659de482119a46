"""Cached z of a backbone before it changes: the reference of the stability term."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from transplant.backbones.view import Backbone
from transplant.modules.interface import Interface
from transplant.text.windows import Window


class ReferenceZ:
    """z of the original backbone on windows, kept in memory up to a bound.

    What is within the bound is computed once. The rest is computed from the frozen original each
    time it is asked for: slower, and never larger.

    Args:
        original: the backbone as it was; it is not changed.
        interfaces: of the modules that it hosts, as they were; copied.
        windows: what the update reads.
        cache_bytes: the bound.
    """

    def __init__(
        self,
        original: Backbone,
        interfaces: Sequence[Interface],
        windows: Sequence[Window],
        cache_bytes: int,
    ) -> None:
        self.original, self.windows, self.cache_bytes = original, windows, cache_bytes
        place = original.device
        self.interfaces = [copy.deepcopy(one).to(place).eval() for one in interfaces]
        self.taps = sorted({tap for interface in interfaces for tap in interface.taps})
        self.kept_bytes = 0
        self._kept: dict[int, list[Tensor]] = {}

    def rows(self, indices: Sequence[int]) -> list[Tensor]:
        """z [rows, d_abi] of each interface on the labelled rows of these windows, in order."""
        missing = [index for index in indices if index not in self._kept]
        found = {index: self._kept[index] for index in indices if index in self._kept}
        if missing:
            found |= dict(zip(missing, self._read(missing), strict=True))
            for index in missing:
                self._keep(index, found[index])
        return [torch.cat(parts) for parts in zip(*(found[i] for i in indices), strict=True)]

    @torch.no_grad()
    def _read(self, indices: Sequence[int]) -> list[list[Tensor]]:
        states = self.original.read([self.windows[i] for i in indices], self.taps).labelled()
        counts = torch.bincount(states.windows, minlength=len(indices)).tolist()
        read = [interface.read_in(states.taps).split(counts) for interface in self.interfaces]
        return [list(parts) for parts in zip(*read, strict=True)]

    def _keep(self, index: int, z: list[Tensor]) -> None:
        size = sum(part.numel() * part.element_size() for part in z)
        if self.kept_bytes + size <= self.cache_bytes:
            self._kept[index] = [part.clone() for part in z]
            self.kept_bytes += size
