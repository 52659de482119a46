"""LoRAs carried from one backbone's weights to another's, as published: baselines of a move.

A pair B A of one linear map becomes T_out' B and A T_in of another. What T is differs:

- `copied`: the identity, where all shapes agree.
- `cross_lora` (Cross-LoRA, arXiv 2508.05232): truncated singular vectors of both weights,
  W = U S V'. The map with the least |P U_donor - U_target| (Frobenius, least norm) is
  P = U_target U_donor', and so for V. No data.
- `theseus` (arXiv 2602.12952): C = X_donor' X_target of activations at the same characters, before
  and behind the map; its polar factor T = U V' of C = U S V' (Procrustes), not centred.

Layers are matched by relative depth, maps by what they do; a fused map is taken apart. The gate of
a gated feed-forward part has no donor where the donor's part has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from transplant.backbones.view import Backbone
from transplant.calibration.pairs import PairedText
from transplant.surgery.lora.update import LoraUpdate, Pair

MOST = 320  # singular vectors of a weight, as published
FUSED = ("query", "key", "value")
GPT2 = {"attn.c_proj": "out", "mlp.c_fc": "up", "mlp.c_proj": "down"}
LLAMA = {
    "self_attn.q_proj": "query", "self_attn.k_proj": "key", "self_attn.v_proj": "value",
    "self_attn.o_proj": "out", "mlp.gate_proj": "gate", "mlp.up_proj": "up",
    "mlp.down_proj": "down",
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """One linear map of a backbone, or the part of a fused one that does one thing."""

    module: str
    first: int = 0
    last: int | None = None
    """Of the map's outputs, `last` not included; None for all of them."""

    @property
    def rows(self) -> slice:
        """Where its outputs are."""
        return slice(self.first, self.last)

    def weight(self, model: nn.Module) -> Tensor:
        """W [out, in]."""
        module = model.get_submodule(self.module)
        weight = module.get_parameter("weight").float()
        return (weight.T if isinstance(module, Conv1D) else weight)[self.rows]


Maps = Callable[[Place, Place], tuple[Tensor, Tensor]]
"""T_out [out_donor, out_target] and T_in [in_donor, in_target] of two places."""


def places_of(backbone: Backbone) -> dict[tuple[int, str], Place]:
    """The maps of a GPT-2 or a Llama, by layer and by what they do."""
    found: dict[tuple[int, str], Place] = {}
    for name, module in backbone.model.named_modules():
        if ".h." in name and isinstance(module, Conv1D):
            layer, _, leaf = name.partition(".h.")[2].partition(".")
            if leaf == "attn.c_attn":
                width = module.nf // len(FUSED)
                for number, part in enumerate(FUSED):
                    found[int(layer), part] = Place(name, number * width, (number + 1) * width)
            else:
                found[int(layer), GPT2[leaf]] = Place(name)
        elif ".layers." in name and isinstance(module, nn.Linear):
            layer, _, leaf = name.partition(".layers.")[2].partition(".")
            found[int(layer), LLAMA[leaf]] = Place(name)
    if not found:
        raise ValueError(f"{backbone.name} is neither a GPT-2 nor a Llama")
    return found


def matched(donor: Backbone, target: Backbone) -> list[tuple[Place, Place]]:
    """Places of the donor and of the target that do the same at the same relative depth."""
    ours, theirs = places_of(donor), places_of(target)
    deep, far = donor.n_layers - 1, max(1, target.n_layers - 1)
    pairs = [
        (ours.get((round(layer * deep / far), part)), place)
        for (layer, part), place in theirs.items()
    ]
    return [(source, place) for source, place in pairs if source is not None]


def copied(donor: Backbone, target: Backbone, update: LoraUpdate) -> LoraUpdate | None:
    """The pairs as they are; None where shapes or layers differ."""
    sizes = [
        {name: tuple(module.get_parameter("weight").shape)
         for name, module in one.model.named_modules() if name in update.pairs}
        for one in (donor, target)
    ]  # fmt: skip
    return update if sizes[0] == sizes[1] else None


def cross_lora(donor: Backbone, target: Backbone, update: LoraUpdate) -> LoraUpdate:
    """Maps from the weights alone; see above."""

    def maps(source: Place, place: Place) -> tuple[Tensor, Tensor]:
        ours = torch.linalg.svd(source.weight(donor.model), full_matrices=False)
        theirs = torch.linalg.svd(place.weight(target.model), full_matrices=False)
        rank = min(MOST, len(ours.S), len(theirs.S))
        out = ours.U[:, :rank] @ theirs.U[:, :rank].T
        return out, ours.Vh[:rank].T @ theirs.Vh[:rank]

    return carried(donor, target, update, maps)


def theseus(
    donor: Backbone, target: Backbone, update: LoraUpdate, paired: PairedText
) -> LoraUpdate:
    """Maps from activations of both bases at paired positions; see above.

    Args:
        donor: the donor's base.
        target: the backbone that the LoRA moves to.
        update: the LoRA.
        paired: text that both read.
    """
    pairs = matched(donor, target)
    sums: dict[tuple[Place, Place], list[Tensor]] = {}
    for some in paired.windows:
        ours = _activations(donor, some.donor, some.rows[0], {one.module for one, _ in pairs})
        theirs = _activations(target, some.target, some.rows[1], {one.module for _, one in pairs})
        for source, place in pairs:
            (x, y), (u, v) = ours[source.module], theirs[place.module]
            found = [y[:, source.rows].T @ v[:, place.rows], x.T @ u]
            before = sums.get((source, place))
            sums[source, place] = found if before is None else [
                a + b for a, b in zip(before, found, strict=True)
            ]  # fmt: skip

    def maps(source: Place, place: Place) -> tuple[Tensor, Tensor]:
        out, into = (_polar(covariance) for covariance in sums[source, place])
        return out, into

    return carried(donor, target, update, maps)


def carried(donor: Backbone, target: Backbone, update: LoraUpdate, maps: Maps) -> LoraUpdate:
    """T_out' B and A T_in at every matched place; what a fused map holds is put together again."""
    parts: dict[str, list[tuple[Place, Tensor, Tensor]]] = {}
    for source, place in matched(donor, target):
        pair = update.pairs.get(source.module)
        if pair is not None:
            out, into = maps(source, place)
            b = pair.scale * (out.T @ pair.b.float()[source.rows])
            parts.setdefault(place.module, []).append((place, b, pair.a.float() @ into))
    pairs = {}
    for module, found in parts.items():
        outputs = len(Place(module).weight(target.model))
        columns = []
        for place, b, _ in found:
            whole = b.new_zeros(outputs, b.shape[1])
            whole[place.rows] = b
            columns.append(whole)
        a = torch.cat([a for _, _, a in found])
        pairs[module] = Pair(a, torch.cat(columns, dim=1), None, 1.0)
    return LoraUpdate(pairs, {})


def _polar(covariance: Tensor) -> Tensor:
    u, _, vh = torch.linalg.svd(covariance, full_matrices=False)
    return u @ vh


@torch.no_grad()
def _activations(
    backbone: Backbone, windows: Any, rows: Tensor, names: set[str]
) -> Mapping[str, tuple[Tensor, Tensor]]:
    """What goes into and comes out of some maps, at some rows of some windows."""
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    with _watching(backbone.model, names, seen):
        backbone.run(list(windows))
    lengths = [len(window) + backbone_prefix(backbone) for window in windows]
    keep = torch.zeros(len(windows), max(lengths), dtype=torch.bool)
    for number, length in enumerate(lengths):
        keep[number, backbone_prefix(backbone) : length] = True
    return {
        name: (x[keep][rows].float(), y[keep][rows].float()) for name, (x, y) in seen.items()
    }  # fmt: skip


def backbone_prefix(backbone: Backbone) -> int:
    """How many tokens stand before every window."""
    return getattr(backbone, "skipped", 0)


@contextmanager
def _watching(
    model: nn.Module, names: set[str], seen: dict[str, tuple[Tensor, Tensor]]
) -> Iterator[None]:
    with ExitStack() as stack:
        for name in names:

            def note(_module: Any, args: Any, output: Tensor, name: str = name) -> None:
                seen[name] = (args[0], output)

            hook = model.get_submodule(name).register_forward_hook(note)
            stack.callback(hook.remove)
        yield
