"""Extraction: the pieces of a backbone, read by the view of its family."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from transplant.backbones.encoder_decoder import PrefixBackbone
from transplant.backbones.parts import blocks_of
from transplant.backbones.view import Backbone
from transplant.errors import InputError
from transplant.surgery.bank.families import VIEWS
from transplant.surgery.bank.piece import Bank, Piece, build_piece
from transplant.surgery.bank.tables import HeadRecipe
from transplant.surgery.bank.view import BlockView

COMPONENTS = ("embeddings", "heads", "ffn", "lm_head")


def extract(
    backbone: Backbone, components: Iterable[str], layers: Sequence[int] | None = None
) -> Bank:
    """Copies pieces out of a backbone.

    Args:
        backbone: the donor.
        components: of `COMPONENTS`.
        layers: the blocks whose heads and ffn are taken; None for all.

    Raises:
        InputError: an unknown component, layer or family, parts of blocks but no block, or nothing
            at all to extract.
    """
    wanted = [*dict.fromkeys(components)]
    unknown = [name for name in wanted if name not in COMPONENTS]
    if unknown:
        raise InputError(
            "`components`", expected=f"of {', '.join(COMPONENTS)}", found=", ".join(unknown)
        )
    backbone.require_weights("extraction")
    blocks = blocks_of(backbone)
    chosen = range(len(blocks)) if layers is None else sorted(set(layers))
    if layers is not None and not chosen and {"heads", "ffn"} & {*wanted}:
        raise InputError(
            "`layers`", expected="at least one block to take heads or ffn from", found=[]
        )
    if any(layer not in range(len(blocks)) for layer in chosen):
        raise InputError("`layers`", expected=f"0 to {len(blocks) - 1}", found=[*chosen])
    if backbone.family not in VIEWS:
        raise InputError(
            f"the pieces of {backbone.name} have no view", expected=f"one of {', '.join(VIEWS)}",
            found=backbone.family, hint="parts can be captured, and pieces of others injected",
        )  # fmt: skip
    view = VIEWS[backbone.family](backbone)
    pieces: dict[str, Piece] = {}
    if "embeddings" in wanted:
        pieces["embeddings"] = _copied("embeddings", view.embeddings())
    for layer in chosen:
        for kind, read in (("heads", view.heads), ("ffn", view.ffn)):
            if kind in wanted:
                pieces[f"{kind}.{layer}"] = _copied(kind, read(layer))
    if "lm_head" in wanted:
        pieces["lm_head"] = _copied("lm_head", _head(backbone))
    bank = Bank(pieces)
    if not bank.tensors():
        raise InputError(
            f"nothing was extracted from {backbone.name}",
            expected="at least one tensor",
            found=f"components {wanted}, layers {[*chosen]}",
        )
    return bank


def _copied(kind: str, found: BlockView) -> Piece:
    recipe, tensors = found
    copied = {name: tensor.detach().clone() for name, tensor in tensors.items()}
    return build_piece(kind, recipe, copied)


def _head(backbone: Backbone) -> BlockView:
    out = backbone.model.get_output_embeddings()
    bias = getattr(out, "bias", None)
    recipe = HeadRecipe(
        vocab=out.weight.shape[0],
        width=out.weight.shape[1],
        bias=bias is not None,
        scale=backbone.output_scale if isinstance(backbone, PrefixBackbone) else 1.0,
        softcap=backbone.soft_cap,
    )
    tensors = {"out.weight": out.weight}
    if bias is not None:
        tensors["out.bias"] = bias
    return dataclasses.asdict(recipe), tensors
