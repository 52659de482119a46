"""A linear map of the last hidden state as a pair on the head: the same logits.

    U (h + h M + b) = U h + (U L) R h + U b        M' = L R, of the rank of M

h is what the head reads, after the final norm; where the view scales it first, s h takes its place
and b becomes s b.
"""

from __future__ import annotations

import torch
from torch import Tensor

from transplant.backbones.view import Backbone
from transplant.errors import BackboneError, InputError
from transplant.modules.linear import LinearCorrection
from transplant.surgery.lora.update import LoraUpdate, Pair

SMALLEST = 1e-7  # of the largest singular value: smaller ones change no digit of a logit


def name_of_head(backbone: Backbone) -> str:
    """The name of the module that makes logits, in its model.

    Raises:
        BackboneError: it has none.
    """
    head = backbone.model.get_output_embeddings()
    for name, module in backbone.model.named_modules():
        if module is head:
            return name
    raise BackboneError(f"{backbone.name} has no module for its head")


def refuse_elsewhere(linear: LinearCorrection, backbone: Backbone) -> None:
    """Refuses a map that is no change of the head.

    Raises:
        InputError: it reads other layers, or a tap that is layer-normed.
    """
    if linear.taps != (backbone.n_layers,):
        raise InputError(
            f"a linear map of the layers {[*linear.taps]} is no LoRA",
            expected=f"the last one alone: [{backbone.n_layers}]", found=[*linear.taps],
            hint="`form='transformers'`, or a student that was fitted with `taps='last'`",
        )  # fmt: skip
    if linear.interface.tap_norms:
        raise InputError(
            "a linear map of a layer-normed tap is no LoRA", expected="the last layer as it is",
            hint="`form='transformers'`",
        )  # fmt: skip


@torch.no_grad()
def on_head(linear: LinearCorrection, backbone: Backbone) -> LoraUpdate:
    """The pair on the head that changes logits as the map does.

    Its rank is that of the map, up to d_model. A map without a constant gives a pair without a
    bias; PEFT can merge a bias only where the head has one.

    Args:
        linear: a map of the last tap alone.
        backbone: what it works on.

    Raises:
        InputError: it reads something else.
    """
    refuse_elsewhere(linear, backbone)
    moved = linear.proj_out.weight.double().cpu()  # [d_model, columns]
    for basis in linear.bases:
        moved = moved @ basis.double().cpu().T  # [d_model, d_model]: M'
    left, right = _factors(moved)
    head = backbone.model.get_output_embeddings().weight.double().cpu()
    scale = float(getattr(backbone, "output_scale", 1.0))
    constant = scale * head @ linear.proj_out.bias.double().cpu()
    pair = Pair(
        right.float().contiguous(), (head @ left).float(),
        constant.float() if bool(constant.any()) else None, 1.0,
    )  # fmt: skip
    return LoraUpdate({name_of_head(backbone): pair}, {})


def _factors(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """L [rows, rank] and R [rank, columns] of a matrix L R; L is the identity where it is whole."""
    u, sizes, v = torch.linalg.svd(matrix, full_matrices=False)
    rank = max(1, int((sizes > SMALLEST * sizes[0].clamp_min(1e-30)).sum()))
    if rank == len(matrix):
        return torch.eye(rank, dtype=matrix.dtype), matrix
    return u[:, :rank] * sizes[:rank], v[:rank]
