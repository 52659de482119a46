"""Blocks below an intervention, run once: their outputs stand in for them in every later pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from transplant.errors import BackboneError
from transplant.tracing.places import Places


class Kept(nn.Module):
    """A module in a block's place that gives what the block gave.

    Args:
        block: whose attributes are found, where a model asks its blocks for any.
        output: what it gave, with every change of a hosted model in it.
    """

    def __init__(self, block: nn.Module, output: Any) -> None:
        super().__init__()
        object.__setattr__(self, "_block", block)  # registered, its weights would be ours
        self.output = output

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self._block, name)

    def forward(self, *_args: Any, **_kwargs: Any) -> Any:
        """The output of the block, unchanged."""
        return self.output


class Prefix:
    """Outputs of the blocks of one batch, and passes that begin behind some of them.

    It is made, and used, inside the hosted model's own hooks: outputs are kept as these leave them.

    Args:
        places: of the model.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._embedded: Tensor | None = None
        self._outputs: dict[int, Any] = {}

    @contextmanager
    def kept(self, below: int) -> Iterator[None]:
        """Keeps what the blocks below a number give in a pass inside, and what the first reads."""

        def enter(_module: nn.Module, args: Any, kwargs: Any) -> None:
            self._embedded = args[0] if args else kwargs["hidden_states"]

        def keep(number: int) -> Any:
            def hook(_module: nn.Module, _args: Any, output: Any) -> None:
                self._outputs[number] = output

            return hook

        blocks = self._places.blocks
        with ExitStack() as stack:
            first = blocks[0].register_forward_pre_hook(enter, with_kwargs=True)
            stack.callback(first.remove)
            for number in range(below):
                stack.callback(blocks[number].register_forward_hook(keep(number)).remove)
            yield

    @contextmanager
    def skipped(self, below: int) -> Iterator[None]:
        """Has the blocks below a number replaced by what they gave, in the passes inside."""
        blocks, reader = self._places.blocks, self._places.backbone.reader()
        own = [blocks[number] for number in range(below)]
        # First of all: a hosted model's hook reads the hidden states that are put right here.
        hook = reader.register_forward_hook(self._complete(below), prepend=True)
        try:
            for number, block in enumerate(own):
                blocks[number] = Kept(block, self._outputs[number])
            yield
        finally:
            for number, block in enumerate(own):
                blocks[number] = block
            hook.remove()

    def _complete(self, below: int) -> Any:
        """Adds the states that `transformers`, which collects from its own blocks, has missed."""

        def complete(_reader: nn.Module, _args: Any, output: Any) -> Any:
            states, layers = getattr(output, "hidden_states", None), self._places.backbone.n_layers
            if states is None or len(states) == layers + 1:
                return None
            if len(states) != layers + 1 - below:
                raise BackboneError(
                    f"the hidden states of {self._places.backbone.name} cannot be put together",
                    expected=f"{layers + 1 - below} from block {below} on", found=len(states),
                )  # fmt: skip
            # The first that was collected is what block `below` reads.
            missed = (self._embedded, *(self._hidden(number) for number in range(below - 1)))
            output.hidden_states = (*missed[:below], *states)
            return output

        return complete

    def _hidden(self, number: int) -> Tensor:
        output = self._outputs[number]
        return output[0] if isinstance(output, tuple) else output
