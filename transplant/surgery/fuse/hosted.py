"""A backbone with several modules at work on one layer, fused there.

Two places can be fused. Domain modules behind interfaces all change the last hidden state; injected
parts all work in one block, and what each would add there goes on top of the block's output.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from transplant.backbones.identity import difference
from transplant.backbones.parts import block_width, find_site, intercepted
from transplant.backbones.view import Backbone
from transplant.errors import InputError
from transplant.modules.correction import Correction
from transplant.modules.hosted import HostedModel, ask_for_hidden_states
from transplant.surgery.fuse.combiner import Combiner, fused_change
from transplant.surgery.inject.hosted import InjectedModel, Injection


class FusedModules(HostedModel):
    """Domain modules, fused on the last hidden state.

    Args:
        name: `<fusion>@<backbone>`.
        backbone: the frozen language model.
        corrections: what each module adds to the last hidden state.
        combiner: weighs them.
    """

    def __init__(
        self, name: str, backbone: Backbone, corrections: Sequence[Correction], combiner: Combiner
    ) -> None:
        super().__init__(name, backbone)
        for correction in corrections:
            HostedModel(name, backbone, correction)  # refuses what does not fit
            if correction.module.reads_windows:
                raise InputError(
                    "a module that reads whole windows keeps no cache outside its core",
                    expected="modules that read each position by itself",
                    found=type(correction.module).__name__,
                )
        self.corrections = nn.ModuleList(corrections)
        self.combiner = combiner.to(backbone.device)

    @property
    def is_raw(self) -> bool:
        """Never: something is attached."""
        return False

    @property
    def layer(self) -> int:
        """The last block: the modules change what comes after it."""
        return self.backbone.n_layers - 1

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Has the fused change at work in whatever runs the backbone."""
        reader = self.backbone.reader()
        handles = [
            reader.register_forward_pre_hook(ask_for_hidden_states, with_kwargs=True),
            reader.register_forward_hook(self._fuse, with_kwargs=True),
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @contextmanager
    def attached(self) -> Iterator[None]:
        """The same, as calls of the model use it."""
        with self.inside():
            yield

    def _fuse(self, _reader: nn.Module, _args: Any, _kwargs: Any, output: Any) -> Any:
        self._corrected = True
        h_last = output.last_hidden_state
        deltas = [
            correction(self._taps_of(output, correction.taps))
            for correction in self.corrections
            if isinstance(correction, Correction)
        ]
        change = fused_change(self.combiner, h_last, torch.stack(deltas, dim=-2))
        output.last_hidden_state = h_last + change
        return output


class FusedParts(InjectedModel):
    """Injected parts of one block, fused on the block's output.

    A part's own gate is set aside: what it would add is its donor path minus the target's own part,
    wherever in the block that part stands.

    Args:
        name: `<fusion>@<backbone>`.
        backbone: the frozen language model.
        injections: the parts, all of one block.
        combiner: weighs what each would add.
    """

    def __init__(
        self, name: str, backbone: Backbone, injections: Sequence[Injection], combiner: Combiner
    ) -> None:
        super().__init__(name, backbone, injections)
        layers = {injection.layer for injection in injections}
        if len(layers) != 1:
            raise InputError(
                "parts are fused on one layer", expected="one block", found=sorted(layers)
            )
        self.layer = layers.pop()
        self.combiner = combiner.to(backbone.device)
        self._deltas: dict[int, Tensor] = {}

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Has the parts at work inside the block, and their fused change behind it."""
        with ExitStack() as stack:
            stack.enter_context(super().inside())
            # After the parts: hooks run in the order in which they were registered.
            block = find_site(self.backbone, self.layer, "layer")
            stack.enter_context(intercepted(block, self._fuse))
            yield

    def _change(self, number: int, injection: Injection) -> Any:
        def keep(x: Tensor, base: Tensor) -> None:
            layer = self._own_layers + number
            self._deltas[number] = injection.graft.delta(x, base, self._span, layer)

        return keep

    def _fuse(self, x: Tensor, added: Tensor) -> Tensor:
        self._corrected = True
        deltas = [self._deltas.pop(number) for number in range(len(self.injections))]
        return fused_change(self.combiner, x + added, torch.stack(deltas, dim=-2))

    def _leave(self) -> None:
        super()._leave()
        self._deltas.clear()


Fused = FusedModules | FusedParts


def fused_width(backbone: Backbone, members: Sequence[HostedModel]) -> int:
    """The width of the layer that these modules change."""
    inside = isinstance(members[0], InjectedModel)
    return block_width(backbone) if inside else backbone.d_model


def fuse_members(name: str, members: Sequence[HostedModel], combiner: Combiner) -> Fused:
    """Modules that are hosted on one backbone, fused on the layer that they all change.

    Args:
        name: `<fusion>@<backbone>`.
        members: domain modules behind interfaces, or injected parts of one block.
        combiner: weighs what they would add.

    Raises:
        InputError: a raw backbone among them, another backbone's module, or other layers.
    """
    backbone = members[0].backbone
    corrections = [m.correction for m in members if m.correction is not None]
    injections = [
        injection
        for m in members
        if isinstance(m, InjectedModel) and not isinstance(m, FusedParts)
        for injection in m.injections
    ]
    for member in members:
        if difference(member.backbone, backbone):
            raise InputError(
                f"{member.name} is hosted on another backbone",
                expected=backbone.name, found=member.backbone.name,
            )  # fmt: skip
    if len(corrections) == len(members):
        return FusedModules(name, backbone, corrections, combiner)
    if len(injections) == len(members):
        return FusedParts(name, backbone, injections, combiner)
    raise InputError(
        "modules are fused on one layer",
        expected="domain modules alone, which change what the head reads, or injected parts alone",
        found=", ".join(f"{member.name} ({_what(member)})" for member in members),
    )


def _what(member: HostedModel) -> str:
    if isinstance(member, FusedModules | FusedParts):
        return "a fusion"
    if isinstance(member, InjectedModel):
        return "an injected part"
    return "a raw backbone" if member.is_raw else "a domain module"
