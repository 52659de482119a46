"""Fisher information of each direction: what the loss feels when that direction of y is scaled.

    s_k = E_seq[(sum_t (u_k' g_t) (u_k' y_t))^2]        g_t = dLoss / dy_t

That is the square of the derivative of a sequence's loss by a_k, where y is replaced by
y + a_k u_k u_k' y: an empirical Fisher. It comes from one backward pass and never forms dLoss/dW.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from transplant.backbones.view import Backbone
from transplant.basis.maps import LinearMap
from transplant.basis.spectrum import Spectrum
from transplant.basis.watch import watching
from transplant.errors import NumericalError
from transplant.progress import Progress, unseen
from transplant.ranks import ALONE, Ranks
from transplant.text.windows import Window, batches
from transplant.training.losses import next_token_loss

TOKENS = 1024  # of a batch: y along all directions of all maps is kept for the backward pass


def fisher_scores(
    backbone: Backbone,
    maps: Sequence[LinearMap],
    spectra: Mapping[str, Spectrum],
    windows: Sequence[Window],
    ranks: Ranks = ALONE,
    progress: Progress = unseen,
) -> dict[str, Tensor]:
    """The score of every direction that is kept [k], float64, in squared nats.

    The loss of a sequence is the sum over its predicted tokens, in nats.

    Args:
        backbone: the frozen language model; nothing of it is changed.
        maps: of its linear maps.
        spectra: by the name of the map.
        windows: calibration text, a sequence each.
        ranks: of several processes, each reads the windows that are its turn.
        progress: called after each batch.

    Raises:
        NumericalError: a gradient that is NaN or infinite, naming the map.
    """
    sums = DirectionSums(maps, spectra, backbone.device)
    with watching(backbone, maps, sums.see):
        run_backward(backbone, maps, windows, ranks, progress, sums.check)
    ranks.sum(*sums.of.values())
    return sums.scores(len(windows))


def run_backward(
    backbone: Backbone,
    maps: Sequence[LinearMap],
    windows: Sequence[Window],
    ranks: Ranks,
    progress: Progress,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Runs windows forward and backward; the loss of a batch is the sum over its tokens, in nats.

    Args:
        backbone: the frozen language model.
        maps: whose outputs have gradients; what is below the first of them has none.
        windows: each process runs those that are its turn.
        ranks: of the processes.
        progress: called after each batch.
        check: called before that.
    """
    mine = [windows[index] for index in ranks.turns(len(windows))]
    done = 0
    with with_gradients(maps):
        for batch in batches(mine, TOKENS):
            states = backbone.run([mine[index] for index in batch]).labelled()
            loss = next_token_loss(backbone, states.h_last, states.labels) * len(states)
            loss.backward()
            check()
            done += len(batch)
            progress(done, len(mine), f"loss {float(loss.detach()) / len(states):.3f}")


def check_gradients(sums: Mapping[str, Tensor]) -> None:
    """Refuses what gradients were summed to, where it is no number.

    Raises:
        NumericalError: one that is NaN or infinite, naming the map.
    """
    for name, found in sums.items():
        if not torch.isfinite(found).all():
            raise NumericalError(
                f"the gradient at {name} is NaN or infinite", hint="`dtype='float32'`"
            )


class DirectionSums:
    """Sums over sequences of (sum_t (u_k' g_t) (u_k' y_t))^2, of every direction of some maps.

    Args:
        maps: that are watched.
        spectra: their directions, by the name of the map.
        device: where those of maps are that lie on the disk.
    """

    def __init__(
        self, maps: Sequence[LinearMap], spectra: Mapping[str, Spectrum], device: torch.device
    ) -> None:
        self._bases: dict[str, Tensor] = {}
        for m in maps:
            u = spectra[m.name].vectors
            self._bases[m.name] = u.to(m.beside(device), products_in(m.weight.dtype))
        self.of = {
            name: torch.zeros(u.shape[1], dtype=torch.float64, device=u.device)
            for name, u in self._bases.items()
        }

    def see(self, of: LinearMap, _read: Tensor, output: Tensor, mask: Tensor) -> None:
        """Has the gradient by an output counted, once it is there; see `watching`."""
        u = self._bases[of.name]
        y = output.detach() if of.bias is None else output.detach().float() - of.bias.float()
        along = (y.to(u.dtype) @ u).float().reshape(*mask.shape, -1) * mask[..., None]

        def felt(gradient: Tensor) -> None:
            # along and its gradient: [batch, seq, k]
            slopes = ((gradient.to(u.dtype) @ u).float().reshape(along.shape) * along).sum(1)
            self.of[of.name] += slopes.double().square().sum(0)

        output.register_hook(felt)

    def check(self) -> None:
        """Refuses what was counted so far, where it is no number.

        Raises:
            NumericalError: a gradient that was NaN or infinite, naming the map.
        """
        check_gradients(self.of)

    def scores(self, sequences: int) -> dict[str, Tensor]:
        """The mean over so many sequences [k], float64.

        Raises:
            NumericalError: as `check`.
        """
        self.check()
        return {name: score.cpu() / sequences for name, score in self.of.items()}


def products_in(weights: torch.dtype) -> torch.dtype:
    """bfloat16 where outputs are rounded to it in any case; float16 has too few exponents."""
    return torch.bfloat16 if weights == torch.bfloat16 else torch.float32


@contextmanager
def with_gradients(maps: Sequence[LinearMap]) -> Iterator[None]:
    """Has the outputs of frozen maps ask for gradients inside the block, from the first ones on.

    Other hooks on them are told of outputs that do.
    """

    def ask(_module: Any, _args: Any, output: Tensor) -> Tensor | None:
        if output.requires_grad:
            return None
        return output.requires_grad_().clone()  # no leaf: some models write to it in place

    with torch.enable_grad(), ExitStack() as stack:
        for found in maps:
            hook = found.module.register_forward_hook(ask, prepend=True)
            stack.callback(hook.remove)
        yield
