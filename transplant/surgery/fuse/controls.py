"""Controls of a fusion: an untrained module in one of its slots.

In one control the maps around it stay, and may be of use by themselves: it shows what the module's
own weights bring, not that a slot without them gets no weight. In the other the maps are drawn too,
each as large as the trained one, so that nothing in the slot has learnt anything.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from transplant.modules.correction import Correction
from transplant.modules.hosted import HostedModel
from transplant.modules.untrained import RANDOM_SEED_OFFSET, random_module
from transplant.surgery.inject.controls import random_like
from transplant.surgery.inject.graft import Bare
from transplant.surgery.inject.hosted import InjectedModel, Injection

MAPS_SEED_OFFSET = RANDOM_SEED_OFFSET + 1


def random_slot(
    members: Sequence[HostedModel], slot: int, seed: int, *, maps: bool = False
) -> list[HostedModel]:
    """The same modules, but for one: in its place works a random one.

    Args:
        members: domain modules, or injected parts of one block.
        slot: which of them is replaced.
        seed: of the draws.
        maps: draw the maps around it too. The way out is as large as the trained one: that of a new
            interface is 0, and would leave nothing to weigh.
    """
    return [_drawn(m, seed, maps) if number == slot else m for number, m in enumerate(members)]


def _drawn(member: HostedModel, seed: int, maps: bool) -> HostedModel:
    name, backbone = f"random in place of {member.name}", member.backbone
    if isinstance(member, InjectedModel):
        parts = [_drawn_part(injection, seed, maps) for injection in member.injections]
        return InjectedModel(name, backbone, parts)
    correction = member.correction
    assert correction is not None  # a raw backbone is refused where modules are fused
    drawn = random_module(correction.module, seed).to(backbone.device)
    interface = correction.interface
    around = random_like(interface, seed + MAPS_SEED_OFFSET) if maps else interface
    gate = None if maps else member.gate  # it was fitted to the z of the trained maps
    return HostedModel(name, backbone, Correction(around, drawn), gate)


def _drawn_part(injection: Injection, seed: int, maps: bool) -> Injection:
    graft = copy.deepcopy(injection.graft)
    if not isinstance(graft.part, Bare):
        graft.part = random_like(graft.part, seed + RANDOM_SEED_OFFSET)
    if maps:
        graft.bridges = random_like(graft.bridges, seed + MAPS_SEED_OFFSET)
    return Injection(injection.layer, injection.kind, graft)
