"""Hooks that see the products W x of linear maps at token positions, and nothing of padding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from transplant.backbones.view import Backbone
from transplant.basis.maps import LinearMap, stacks
from transplant.errors import BackboneError

See = Callable[[LinearMap, Tensor, Tensor, Tensor], None]
"""What is told of a call of a map: the map, what it reads [..., in], its own output [..., out] with
its bias, and the mask [batch, seq] of its positions; `...` is `batch, seq` or `batch * seq`."""


def rows_at(states: Tensor, mask: Tensor) -> Tensor:
    """The rows [rows, width] of states at the positions of a mask [batch, seq]; of all, no copy."""
    if bool(mask.all()):
        return states.reshape(mask.numel(), -1)
    return states.reshape(*mask.shape, -1)[mask.to(states.device)]


@contextmanager
def watching(backbone: Backbone, maps: Sequence[LinearMap], see: See) -> Iterator[None]:
    """Has `see` told of every call of these maps inside the block.

    Positions that the backbone reads before the first row of a window are no text (`skipped`: the
    beginning-of-text token): the mask leaves them out, with the padding.

    Args:
        backbone: the frozen language model, run by its own `run` or `read`.
        maps: of its linear maps.
        see: told in the order of the calls.

    Raises:
        BackboneError: a map reads rows that are no positions of the batch, as a routed expert does.
    """
    masks = _Masks(backbone)
    with ExitStack() as stack:
        for module in stacks(backbone):
            hook = module.register_forward_pre_hook(masks.note, with_kwargs=True)
            stack.callback(hook.remove)
        for found in maps:

            def told(_module: Any, args: Any, output: Tensor, found: LinearMap = found) -> None:
                mask = masks.of(found, args[0])
                if output.shape[:-1].numel() != mask.numel():
                    raise BackboneError(
                        f"{found.name} of {backbone.name} does not read each position once",
                        expected=f"{mask.numel()} rows", found=f"{output.shape[:-1].numel()}",
                        hint="`layers` without it",
                    )  # fmt: skip
                see(found, args[0], output, mask.to(output.device))

            stack.callback(found.module.register_forward_hook(told).remove)
        yield


class _Masks:
    """Which positions of a batch are text, for each stack of a backbone that is running.

    Args:
        backbone: the frozen language model.
    """

    def __init__(self, backbone: Backbone) -> None:
        self.skipped = backbone.skipped
        self._stack_of = {
            id(module): number
            for number, stack in enumerate(stacks(backbone))
            for module in stack.modules()
        }
        self._own: dict[int, Tensor] = {}
        self._across: tuple[int, Tensor] | None = None

    def note(self, stack: nn.Module, _args: Any, kwargs: dict[str, Any]) -> None:
        """Takes the masks of a stack that begins to run."""
        mask = kwargs["attention_mask"].bool().clone()
        mask[:, : self.skipped] = False
        self._own[self._stack_of[id(stack)]] = mask
        encoded = kwargs.get("encoder_hidden_states")
        self._across = None
        if encoded is not None:
            self._across = encoded.data_ptr(), kwargs["encoder_attention_mask"].bool()

    def of(self, found: LinearMap, read: Tensor) -> Tensor:
        """The mask [batch, seq] of what a map reads: its own stack, or states of the encoder."""
        if self._across is not None and read.data_ptr() == self._across[0]:
            return self._across[1]
        return self._own[self._stack_of[id(found.module)]]
