"""Which parts of a backbone matter on a text: the loss with each of them silenced."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from transplant.backbones.parts import block_count, find_part, intercepted
from transplant.backbones.view import Backbone
from transplant.evaluation.likelihood import score_documents
from transplant.progress import Progress
from transplant.text.windows import Window

PARTS = ("attn", "mlp")


def ablation_impact(
    backbone: Backbone,
    windows: Sequence[Window],
    *,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Nats per token that are lost where one part of one block adds nothing.

    Args:
        backbone: the frozen language model.
        windows: held-out text.
        progress: called after each part.

    Returns:
        By the name of the part (`block.2.mlp`); empty in a family whose parts have no names.
    """
    names = [f"block.{n}.{part}" for n in range(block_count(backbone)) for part in PARTS]
    whole = _loss(backbone, windows) if names else 0.0
    found = {}
    for number, name in enumerate(names, 1):
        with intercepted(find_part(backbone, name), _silence):
            found[name] = _loss(backbone, windows) - whole
        if progress is not None:
            progress(number, len(names), name)
    return found


def _silence(_x: Tensor, added: Tensor) -> Tensor:
    return -added


def _loss(backbone: Backbone, windows: Sequence[Window]) -> float:
    return score_documents(backbone, windows, {"it": None})["it"].per_token
