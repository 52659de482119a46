"""Stored tensors go into a module exactly, or not at all."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from transplant.errors import ShapeError


def load_tensors(module: nn.Module, tensors: Mapping[str, Tensor], what: str) -> None:
    """Copies stored tensors into a module.

    Raises:
        ShapeError: names the first tensor that is missing, unknown or of another shape.
    """
    load_part(module, module.state_dict(), tensors, what)


def load_part(
    module: nn.Module, own: Mapping[str, Tensor], tensors: Mapping[str, Tensor], what: str
) -> None:
    """The same for a part of a module: `own` are the tensors that are stored, by name."""
    for name in sorted(own.keys() | tensors.keys()):
        expected = tuple(own[name].shape) if name in own else "no such tensor"
        found = tuple(tensors[name].shape) if name in tensors else "nothing"
        if expected != found:
            raise ShapeError(f"{what}: {name}", expected=expected, found=found)
    module.load_state_dict(dict(tensors), strict=False)  # the names were compared above
