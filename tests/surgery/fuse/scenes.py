"""Modules to fuse, of either kind, on tiny backbones."""

from __future__ import annotations

import torch

from tests.tiny import LAYERS, tiny_backbone
from transplant.alignment.affine import AffineMap
from transplant.backbones.parts import block_width
from transplant.modules.hosted import HostedModel
from transplant.surgery.bank.extract import extract
from transplant.surgery.fuse.config import COMBINER_NAMES
from transplant.surgery.inject.config import InjectConfig
from transplant.surgery.inject.graft import Graft
from transplant.surgery.inject.hosted import InjectedModel, Injection
from transplant.training.loop import new_correction

KINDS = ("modules", "parts")
__all__ = ["COMBINER_NAMES", "KINDS", "busy", "members_of", "scene"]


def scene(family, kind, tokenizer, seed=0, **options):
    """A tiny backbone, and two members on it."""
    backbone = tiny_backbone(family, tokenizer, seed=seed)
    if family == "layercake":
        backbone.switch_off()
    return backbone, members_of(backbone, kind, tokenizer, **options)


def members_of(backbone, kind, tokenizer, layer=LAYERS - 1, parts=("ffn.0", "heads.1")):
    """Two busy domain modules, or two injected parts with shut gates, one that attends."""
    if kind == "modules":
        return [module(backbone, taps, n) for n, taps in enumerate(((backbone.n_layers,), (0, 1)))]
    donor = tiny_backbone("llama", tokenizer, seed=7)
    return [injected(backbone, donor, part, layer, n) for n, part in enumerate(parts)]


def module(backbone, taps, seed):
    """A correction that says something: `P_out` starts at zero otherwise."""
    correction = new_correction(backbone.d_model, 16, taps, seed)
    generator = torch.Generator().manual_seed(seed + 40)
    with torch.no_grad():
        weight = correction.interface.proj_out.weight
        weight.copy_(torch.randn(weight.shape, generator=generator) * 0.3)
    return HostedModel(f"m{seed}@{backbone.name}", backbone, correction)


def injected(backbone, donor, part, layer, seed):
    """A part behind random bridges, its own gate shut."""
    piece = extract(donor, ("heads", "ffn")).part(part)
    width = block_width(backbone)
    graft = Graft(piece, width, InjectConfig())
    graft.bridges.set_inward(_random(width, piece.width, seed))
    graft.bridges.set_outward(_random(piece.width, width, seed + 20))
    kind = part.split(".")[0]
    return InjectedModel(f"p{seed}@{backbone.name}", backbone, [Injection(layer, kind, graft)])


def _random(rows, columns, seed):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(rows, columns, generator=generator) * rows**-0.5
    return AffineMap(weight, torch.zeros(columns))


@torch.no_grad()
def busy(combiner, seed=0):
    """Moves every parameter of a combiner."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in combiner.parameters():
        parameter.add_(torch.randn(parameter.shape, generator=generator))
