"""One decoder layer of a backbone, run alone by the backbone's own code."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from transplant.backbones.causal import CausalBackbone
from transplant.backbones.states import States
from transplant.backbones.view import Backbone
from transplant.errors import BackboneError
from transplant.text.windows import Window

Feed = Callable[[Sequence[Window], Tensor | None], Tensor]
"""Windows, and the states [batch, seq, d_model] that a layer reads (None: the embeddings, of the
first layer), to the states that it leaves."""


class _Passed(Exception):  # noqa: N818  it is no error: it leaves a forward pass behind one layer
    """Carries the hidden states [batch, seq, d_model] that one layer has left."""

    def __init__(self, hidden: Tensor) -> None:
        super().__init__()
        self.hidden = hidden


class OneByOne:
    """The decoder layers of a backbone, each of which can be run without the others.

    The backbone's own code makes masks and positions: it runs with other layers passed over.

    Args:
        backbone: decoder-only; its layers may be on the disk.
        probe: a window that the first layer is run on, to learn what a layer hands on.

    Raises:
        BackboneError: an encoder-decoder, whose layers hand more than hidden states on, or a
            decoder that keeps its layers in no list.
    """

    def __init__(self, backbone: Backbone, probe: Window) -> None:
        self.backbone, self.layers = backbone, layers_of(backbone)
        self._as_tuple = False
        with torch.no_grad(), self.alone(0) as feed:
            feed([Window(probe.ids[:2], probe.ends[:2], 0)], None)

    def __len__(self) -> int:
        return len(self.layers)

    @contextmanager
    def alone(self, number: int) -> Iterator[Feed]:
        """A call that runs one layer; its weights are in memory inside the block."""
        given: list[Tensor | None] = [None]
        stack: list[Any] = [*self.layers]

        def feed(windows: Sequence[Window], hidden: Tensor | None) -> Tensor:
            given[0] = hidden
            try:
                self.backbone.run(windows)
            except _Passed as passed:
                return passed.hidden
            raise BackboneError(f"{self.backbone.name} did not call layer {number}")

        with _held(stack[number]):
            own = stack[number].forward

            def alone(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
                read = hidden_states if given[0] is None else given[0]
                found = own(read, *args, **kwargs)
                self._as_tuple = isinstance(found, tuple)
                raise _Passed(found[0] if isinstance(found, tuple) else found)

            with _with_forwards(dict.fromkeys(stack[:number], self._passing)
                                | {stack[number]: alone}):  # fmt: skip
                yield feed

    def held(self, number: int) -> AbstractContextManager[None]:
        """Holds the weights of one layer in memory inside the block, where they are on the disk."""
        return _held(self.layers[number])

    @contextmanager
    def behind(self) -> Iterator[Callable[[Sequence[Window], Tensor], States]]:
        """A call that runs what comes after the last layer: (windows, its states) to the rows."""
        given: list[Tensor] = []
        stack: list[Any] = [*self.layers]

        def last(_hidden_states: Tensor, *_args: Any, **_kwargs: Any) -> Any:
            return self._passing(given[0])

        def run(windows: Sequence[Window], hidden: Tensor) -> States:
            given[:] = [hidden]
            return self.backbone.run(windows)

        with _with_forwards(dict.fromkeys(stack[:-1], self._passing) | {stack[-1]: last}):
            yield run

    def _passing(self, hidden_states: Tensor, *_args: Any, **_kwargs: Any) -> Any:
        return (hidden_states,) if self._as_tuple else hidden_states


def layers_of(backbone: Backbone) -> nn.ModuleList:
    """The decoder layers, in order.

    Raises:
        BackboneError: an encoder-decoder, whose layers hand more than hidden states on, or a
            decoder that keeps its layers in no list.
    """
    lists = [
        module for module in backbone.reader().modules()
        if isinstance(module, nn.ModuleList) and len(module) == backbone.n_layers
    ]  # fmt: skip
    if not isinstance(backbone, CausalBackbone) or not lists:
        raise BackboneError(
            f"{backbone.name} cannot be read layer by layer", expected="a decoder-only model",
            found=backbone.family, hint="the same without `layer_at_a_time`",
        )  # fmt: skip
    return lists[0]


@contextmanager
def _with_forwards(forwards: Mapping[Any, Callable[..., Any]]) -> Iterator[None]:
    """Has layers compute something else inside the block."""
    with ExitStack() as stack:
        for layer, forward in forwards.items():
            stack.callback(_restore, layer, layer.__dict__.get("forward"))
            layer.forward = forward
        yield


def _restore(layer: Any, forward: Callable[..., Any] | None) -> None:
    if forward is None:
        del layer.forward
    else:
        layer.forward = forward


@contextmanager
def _held(layer: nn.Module) -> Iterator[None]:
    """Holds the weights of one layer in memory inside the block, where they are on the disk.

    Inside another such block it does nothing: they are there until that one ends.
    `accelerate` would read them again for every batch: its hooks load them once, and rest.
    """
    held: list[tuple[Any, Any, Any]] = []
    module: Any
    for module in layer.modules():
        hook = getattr(module, "_hf_hook", None)
        own = getattr(module, "_old_forward", None)
        if hook is not None and own is not None and module.forward != own:
            hook.pre_forward(module)
            held.append((module, hook, module.forward))
            module.forward = own
    try:
        yield
    finally:
        for module, hook, forward in held:
            module.forward = forward
            hook.post_forward(module, torch.empty(0))
