"""Gradients by the weights of linear maps, summed over a text: G = sum_t g_t x_t'."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from transplant.backbones.view import Backbone
from transplant.basis.fisher import check_gradients, products_in, run_backward
from transplant.basis.maps import LinearMap
from transplant.basis.watch import rows_at, watching
from transplant.progress import Progress, unseen
from transplant.ranks import ALONE, Ranks
from transplant.text.windows import Window


class SlopeSums:
    """Sums of g x' over token positions, [out, in] of each map, in single precision.

    Args:
        maps: that are watched.
        device: where the sums are kept of maps whose weights are on the disk.
    """

    def __init__(self, maps: Sequence[LinearMap], device: torch.device) -> None:
        self.of = {m.name: torch.zeros(m.out, m.into, device=m.beside(device)) for m in maps}
        self._kind = {m.name: products_in(m.weight.dtype) for m in maps}

    def see(self, of: LinearMap, read: Tensor, output: Tensor, mask: Tensor) -> None:
        """Has the gradient by an output counted, once it is there; see `watching`."""
        x, kind = read.detach(), self._kind[of.name]

        def felt(gradient: Tensor) -> None:
            g, rows = rows_at(gradient, mask).to(kind), rows_at(x, mask).to(kind)
            if kind == torch.float32:
                self.of[of.name].addmm_(g.T, rows)
            else:
                self.of[of.name] += (g.T @ rows).float()

        output.register_hook(felt)

    def check(self) -> None:
        """Refuses what was summed so far, where it is no number.

        Raises:
            NumericalError: a gradient that was NaN or infinite, naming the map.
        """
        check_gradients(self.of)


def slopes_of(
    backbone: Backbone,
    maps: Sequence[LinearMap],
    windows: Sequence[Window],
    ranks: Ranks = ALONE,
    progress: Progress = unseen,
) -> dict[str, Tensor]:
    """dLoss/dW [out, in] of every map, in single precision; the loss is summed over tokens.

    Args:
        backbone: the frozen language model.
        maps: of its linear maps.
        windows: of the domain.
        ranks: of several processes, each reads the windows that are its turn.
        progress: called after each batch.

    Raises:
        NumericalError: a gradient that is NaN or infinite, naming the map.
    """
    sums = SlopeSums(maps, backbone.device)
    with watching(backbone, maps, sums.see):
        run_backward(backbone, maps, windows, ranks, progress)
    ranks.sum(*sums.of.values())
    sums.check()
    return sums.of
