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
from transplant.modules.gate import Gated
from transplant.modules.gated_forward import gated_correction
from transplant.modules.hosted import HostedModel, ask_for_hidden_states
from transplant.surgery.fuse.combiner import Combiner, fused_change
from transplant.surgery.inject.hosted import InjectedModel, Injection


class FusedModules(HostedModel):
    """Domain modules, fused on the last hidden state.

    Args:
        name: `<fusion>@<backbone>`.
        backbone: the frozen language model.
        corrections: what each module adds to the last hidden state, where its gate is open.
        combiner: weighs them.
    """

    def __init__(
        self,
        name: str,
        backbone: Backbone,
        corrections: Sequence[Correction | Gated],
        combiner: Combiner,
    ) -> None:
        super().__init__(name, backbone)
        for one in corrections:
            correction, gate = (one.correction, one.gate) if isinstance(one, Gated) else (one, None)
            HostedModel(name, backbone, correction, gate)  # refuses what does not fit
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

    def _fuse(self, _reader: nn.Module, _args: Any, kwargs: Any, output: Any) -> Any:
        self._corrected = True
        h_last = output.last_hidden_state
        deltas: list[Tensor] = []
        for number, one in enumerate(self.corrections):
            assert isinstance(one, Correction | Gated)
            taps = self._taps_of(output, one.taps)
            if isinstance(one, Gated):
                gates = sum(isinstance(before, Gated) for before in self.corrections[:number])
                delta = gated_correction(one, taps, kwargs, output.past_key_values, gates)
            else:
                delta = one(taps)
            deltas.append(delta)
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
        InputError: a raw backbone among them, a member of several injected parts, another
            backbone's module, or other layers.
    """
    backbone = members[0].backbone
    corrections = [one for m in members if (one := _behind(m)) is not None]
    injections = [one for m in members if (one := _inside(m)) is not None]
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
        expected="domain modules alone, which change what the head reads, or injected parts alone, "
        "one of each member",
        found=", ".join(f"{member.name} ({_what(member)})" for member in members),
    )


def _behind(member: HostedModel) -> Correction | Gated | None:
    """What a domain module adds to the last hidden state; None of any other member."""
    found = member.corrector
    return found if isinstance(found, Correction | Gated) else None


def _inside(member: HostedModel) -> Injection | None:
    """The one injected part of a member; None of any other member."""
    if not isinstance(member, InjectedModel) or isinstance(member, FusedParts):
        return None
    return member.injections[0] if len(member.injections) == 1 else None


def _what(member: HostedModel) -> str:
    if isinstance(member, FusedModules | FusedParts):
        return "a fusion"
    if isinstance(member, InjectedModel):
        count = len(member.injections)
        return "an injected part" if count == 1 else f"{count} injected parts"
    if member.is_raw:
        return "a raw backbone"
    return "another change" if _behind(member) is None else "a domain module"
