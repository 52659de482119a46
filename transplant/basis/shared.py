"""Linear maps that read one and the same input, as q, k and v of a layer do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from transplant.basis.maps import SHOWN, LinearMap
from transplant.errors import BackboneError
from transplant.text.windows import Window

PROBE = 16  # tokens of a window: an encoder-decoder reads half of them on each side


@dataclass(frozen=True)
class _Read:
    """What a map was given: the tensor itself, which holds its memory, and its values then."""

    own: Tensor
    values: Tensor

    def is_same(self, other: _Read) -> bool:
        """Whether both are one tensor, which nobody has written to in between."""
        return (
            self.own.data_ptr() == other.own.data_ptr()
            and self.values.shape == other.values.shape
            and torch.equal(self.values, other.values)
        )


def start_of(window: Window) -> Window:
    """As much of a window as tells which maps read the same."""
    return Window(window.ids[:PROBE], window.ends[:PROBE], window.document)


def groups_by_input(
    maps: Sequence[LinearMap], run: Callable[[], object]
) -> list[tuple[LinearMap, ...]]:
    """The maps that read one tensor, together, in the order of the first ones.

    A map that is called more than once is alone.

    Args:
        maps: of a backbone.
        run: makes the backbone read a short window; which maps share does not depend on the text.

    Raises:
        BackboneError: a map that is not called at all: its weights are used in another way, or for
            some positions alone.
    """
    read: dict[str, list[_Read]] = {m.name: [] for m in maps}
    with ExitStack() as stack:
        for found in maps:

            def told(_module: Any, args: Any, _output: Any, name: str = found.name) -> None:
                own = args[0].detach()
                read[name].append(_Read(own, own.clone()))

            stack.callback(found.module.register_forward_hook(told).remove)
        run()
    if idle := [name for name, calls in read.items() if not calls]:
        raise BackboneError(
            f"{len(idle)} of {len(maps)} maps are not called where text is read",
            expected="maps that read each position", found=", ".join(idle[:SHOWN]),
            hint="`layers` without them",
        )  # fmt: skip
    groups: list[list[LinearMap]] = []
    firsts: list[_Read | None] = []
    for found in maps:
        own = read[found.name][0] if len(read[found.name]) == 1 else None
        place = next(
            (at for at, first in enumerate(firsts) if own and first and own.is_same(first)), None
        )
        if place is None:
            groups.append([found])
            firsts.append(own)
        else:
            groups[place].append(found)
    return [tuple(group) for group in groups]
