"""Attention weights of a pass, and those that changed queries or keys would give.

The fix for saturated attention of AtP* (Kramar et al., arXiv:2403.00745, section 3.1.1).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from transplant.errors import InputError
from transplant.tracing.interventions import Scene, check_fired, replacement
from transplant.tracing.places import Places
from transplant.tracing.targets import Target

_ATTENTION = {
    "gpt2": "attn", "gpt_neox": "attention", "t5": "layer.0.SelfAttention",
}  # fmt: skip
_USUAL_ATTENTION = "self_attn"
_WITHOUT_WEIGHTS = ("layercake",)
_NORMED_TOGETHER = ("olmo2",)


@dataclass
class Attended:
    """A block's attention in a pass: what it was called with, and its weights with their graph."""

    module: nn.Module
    args: tuple[Any, ...]
    options: dict[str, Any]
    weights: Tensor  # [batch, heads, seq, seq]


@contextmanager
def attention_recorded(places: Places, targets: Sequence[Target]) -> Iterator[dict[int, Attended]]:
    """Yields a dict that a pass inside fills with the attention of the targets' blocks.

    Raises:
        InputError: a family whose attention does not tell its weights.
    """
    found: dict[int, Attended] = {}
    if not targets:
        yield found
        return
    reader: Any = places.backbone.reader()
    if places.backbone.family in _WITHOUT_WEIGHTS or not places.is_known:
        raise InputError(
            f"the attention of {places.backbone.name} does not tell its weights",
            expected="no queries and keys among the targets of a prefilter",
            found=", ".join(target.name for target in targets[:3]),
        )  # fmt: skip
    before = reader.config._attn_implementation
    with ExitStack() as stack:
        reader.set_attn_implementation("eager")  # others keep no weights
        stack.callback(reader.set_attn_implementation, before)
        for layer in sorted({target.layer for target in targets}):
            module = _attention_of(places, layer)
            hook = module.register_forward_hook(_record(layer, found), with_kwargs=True)
            stack.callback(hook.remove)
        yield found


def _attention_of(places: Places, layer: int) -> nn.Module:
    name = _ATTENTION.get(places.backbone.family, _USUAL_ATTENTION)
    return places.blocks[layer].get_submodule(name)


def _record(layer: int, found: dict[int, Attended]) -> Any:
    def record(module: nn.Module, args: Any, options: Any, output: Any) -> None:
        # Of the intact pass; what comes later is attention with changed queries or keys.
        found.setdefault(layer, Attended(module, args, options, _weights(output)))

    return record


def _weights(output: Any) -> Tensor:
    """The weights [batch, heads, seq, seq]: the last of what an attention gives."""
    return [part for part in output if isinstance(part, Tensor) and part.ndim == 4][-1]


def saturation_fixed(
    places: Places,
    targets: Sequence[Target],
    attended: Mapping[int, Attended],
    gradients: Mapping[int, Tensor | None],
    scene: Scene,
) -> dict[Target, Tensor]:
    """Estimates of queries and keys: the gradient at the weights, times how these would change.

    All heads of a block are changed at once, as none reads another's queries or keys; where one
    norm is over all of them, as in OLMo 2, each by itself.

    Args:
        places: of the model.
        targets: `query` and `key` only.
        attended: the intact pass, by block.
        gradients: at the weights of these [batch, heads, seq, seq].
        scene: the intervention.

    Returns:
        Each target's estimate by window [windows].
    """
    found: dict[Target, Tensor] = {}
    if places.backbone.family in _NORMED_TOGETHER:
        groups = [[target] for target in targets]
    else:
        places_of = sorted({(target.kind, target.layer) for target in targets})
        groups = [[t for t in targets if (t.kind, t.layer) == place] for place in places_of]
    for group in groups:
        layer = group[0].layer
        by_head = _by_head(places, group, attended[layer], gradients[layer], scene)
        if places.backbone.family in _NORMED_TOGETHER:
            found[group[0]] = by_head.sum(1)
            continue
        # Each head of keys serves as many heads of queries, one after the other.
        shared = by_head.unflatten(1, (places.kv_heads, -1)).sum(2)
        for target in group:
            found[target] = (shared if target.kind == "key" else by_head)[:, target.head]
    return found


def _by_head(
    places: Places,
    targets: Sequence[Target],
    attended: Attended,
    gradient: Tensor | None,
    scene: Scene,
) -> Tensor:
    """The estimate of each query head [windows, heads], of targets of one kind and block."""
    if gradient is None:
        return torch.zeros(attended.weights.shape[:2])
    fired = 0

    def change(value: Tensor) -> Tensor:
        nonlocal fired
        fired += 1
        changed = value
        for target in targets:
            changed = target.replaced(places, changed, replacement(value, scene, target))
        return changed

    with places.changed(targets[0].kind, targets[0].layer, change):
        output = attended.module(*attended.args, **attended.options)
    check_fired(places, targets[0].name, fired)
    return ((_weights(output) - attended.weights) * gradient).sum((2, 3))
