"""What a fusion is compared with: a module that has learnt nothing in one of its slots.

The maps around it stay, and may be of use by themselves: the control says what the module's own
weights bring, not that a slot without them gets no weight.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from transplant.evaluation.controls import RANDOM_SEED_OFFSET, random_module
from transplant.modules.hosted import Correction, HostedModel
from transplant.surgery.inject.controls import random_like
from transplant.surgery.inject.graft import Bare
from transplant.surgery.inject.hosted import InjectedModel, Injection


def random_slot(members: Sequence[HostedModel], slot: int, seed: int) -> list[HostedModel]:
    """The same modules, but for one: in its place works a random one behind the same maps.

    Args:
        members: domain modules, or injected parts of one block.
        slot: which of them is replaced.
        seed: of the draws.
    """
    return [_drawn(m, seed) if number == slot else m for number, m in enumerate(members)]


def _drawn(member: HostedModel, seed: int) -> HostedModel:
    name, backbone = f"random in place of {member.name}", member.backbone
    if isinstance(member, InjectedModel):
        return InjectedModel(name, backbone, [_drawn_part(i, seed) for i in member.injections])
    correction = member.correction
    assert correction is not None  # a raw backbone is refused where modules are fused
    drawn = random_module(correction.module, seed).to(backbone.device)
    return HostedModel(name, backbone, Correction(correction.interface, drawn))


def _drawn_part(injection: Injection, seed: int) -> Injection:
    graft = copy.deepcopy(injection.graft)
    if not isinstance(graft.part, Bare):
        graft.part = random_like(graft.part, seed + RANDOM_SEED_OFFSET)
    return Injection(injection.layer, injection.kind, graft)
