"""One decoder layer of a backbone, run alone by the backbone's own code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from transplant.backbones.view import Backbone
from transplant.errors import BackboneError
from transplant.text.windows import Window


class _Passed(Exception):  # noqa: N818  it is no error: it leaves a forward pass behind one layer
    """Carries the hidden states [batch, seq, d_model] that one layer has left."""

    def __init__(self, hidden: Tensor) -> None:
        super().__init__()
        self.hidden = hidden


@contextmanager
def feeding(layers: nn.ModuleList, number: int) -> Iterator[Any]:
    """A call that runs one layer alone: (backbone, windows, hidden or None) to what it leaves."""
    given: list[Tensor | None] = [None]
    stack: list[Any] = [*layers]

    def passed_over(layer: Any) -> Any:
        as_tuple = getattr(layer, "_leaves_tuple", False)

        def forward(hidden_states: Tensor, *_args: Any, **_kwargs: Any) -> Any:
            return (hidden_states,) if as_tuple else hidden_states

        return forward

    def run(backbone: Backbone, windows: Sequence[Window], hidden: Tensor | None) -> Tensor:
        given[0] = hidden
        try:
            backbone.read(windows)
        except _Passed as passed:
            return passed.hidden
        raise BackboneError(f"{backbone.name} did not call layer {number}")

    own = stack[number].forward

    def alone(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        read = hidden_states if given[0] is None else given[0]
        found = own(read, *args, **kwargs)
        stack[number]._leaves_tuple = isinstance(found, tuple)
        raise _Passed(found[0] if isinstance(found, tuple) else found)

    before = [(layer, layer.__dict__.get("forward")) for layer in stack[: number + 1]]
    try:
        for layer in stack[:number]:
            layer.forward = passed_over(layer)
        stack[number].forward = alone
        yield run
    finally:
        for layer, forward in before:
            if forward is None:
                del layer.forward
            else:
                layer.forward = forward


@contextmanager
def only(layers: nn.ModuleList, number: int) -> Iterator[None]:
    """Holds the weights of one layer in memory inside the block, where they are on the disk.

    `accelerate` would read them again for every batch: its hooks load them once, and rest.
    """
    held: list[tuple[Any, Any, Any]] = []
    module: Any
    for module in layers[number].modules():
        hook = getattr(module, "_hf_hook", None)
        if hook is not None and hasattr(module, "_old_forward"):
            hook.pre_forward(module)
            held.append((module, hook, module.forward))
            module.forward = module._old_forward
    try:
        yield
    finally:
        for module, hook, forward in held:
            module.forward = forward
            hook.post_forward(module, torch.empty(0))
