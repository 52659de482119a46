"""Targets by name: `head:3.2`, `ffn:4`, `attn:4`, `layer:5.resid`, and `cross:3.2` of a T5.

`query:3.2`, `key:3.2` and `value:3.2` are what a head attends with and reads; where queries share
keys and values, these are numbered by themselves.

A number may be `*` or a range: `head:3.*`, `head:0-2.*`, `ffn:*`; `head:*` is every head. `auto` is
every head and every feed-forward part.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor

from transplant.errors import InputError
from transplant.tracing.places import Places

AUTO = "auto"
BY_HEAD = ("head", "cross", "query", "key", "value")
SHARED = ("key", "value")  # by several queries, maybe
KINDS = (*BY_HEAD, "ffn", "attn", "layer")
FORM = "auto, head:3.2, ffn:4, attn:4 or layer:5.resid, with commas between"
_NUMBER = r"\*|\d+(?:-\d+)?"
_NAME = re.compile(rf"({'|'.join(KINDS)}):({_NUMBER})(?:\.({_NUMBER}|resid))?")


@dataclass(frozen=True, order=True)
class Target:
    """A part of a block whose value is replaced."""

    layer: int
    """The block, from 0."""
    kind: str
    """One of `KINDS`."""
    head: int | None = None
    """The head, from 0; None for what is not parted into heads."""

    @property
    def name(self) -> str:
        """As it is typed."""
        if self.kind == "layer":
            return f"layer:{self.layer}.resid"
        return f"{self.kind}:{self.layer}" + ("" if self.head is None else f".{self.head}")

    def columns(self, places: Places) -> slice:
        """Its columns of the value that `Places.changed` meets."""
        if self.head is None:
            return slice(None)
        dim = places.head_dim(self.layer, cross=self.kind == "cross")
        return slice(self.head * dim, (self.head + 1) * dim)

    def replaced(self, places: Places, value: Tensor, by: Tensor) -> Tensor:
        """A value of its place in which its own columns are those of another one."""
        if self.head is None:
            return by
        changed, columns = value.clone(), self.columns(places)
        changed[..., columns] = by[..., columns]
        return changed


def parse_targets(text: str, places: Places) -> tuple[Target, ...]:
    """The targets of a list, each once, ordered by block.

    Args:
        text: names with commas between them, or `auto`.
        places: of the model; says which blocks and heads there are.

    Raises:
        InputError: a name that is none, a block or a head that is not there, or one named twice.
    """
    found: list[Target] = []
    for name in (part.strip() for part in text.split(",")):
        found.extend(_parse(name, places))
    twice = {target.name for target in found if found.count(target) > 1} if found else set()
    if twice:
        raise InputError("`targets`", expected="each once", found=", ".join(sorted(twice)))
    return tuple(sorted(found))


def all_targets(places: Places) -> tuple[Target, ...]:
    """Every head, also of the attention to an encoder, and every feed-forward part."""
    kinds = ("head", "cross") if places.has_cross_attention else ("head",)
    found = [Target(layer, "ffn") for layer in range(places.layers)]
    for kind in kinds:
        for layer in range(places.layers):
            found.extend(Target(layer, kind, head) for head in range(places.heads))
    return tuple(sorted(found))


def layers_of(targets: Iterable[Target]) -> tuple[int, ...]:
    """The blocks of some targets, ascending."""
    return tuple(sorted({target.layer for target in targets}))


def _parse(name: str, places: Places) -> list[Target]:
    if name == AUTO:
        return [*all_targets(places)]
    found = _NAME.fullmatch(name)
    if found is None:
        raise InputError("`targets`", expected=FORM, found=name or "an empty name")
    kind, layer, rest = found.groups()
    if kind in BY_HEAD and layer == "*":
        rest = rest or "*"
    if (kind == "layer") != (rest == "resid") or (kind in BY_HEAD) != (rest not in (None, "resid")):
        raise InputError("`targets`", expected=FORM, found=name)
    if kind == "cross" and not places.has_cross_attention:
        raise InputError(
            f"{places.backbone.name} has no attention to an encoder",
            expected="an encoder-decoder", found=name,
        )  # fmt: skip
    layers = _numbers(layer, places.layers, name, "block")
    if kind not in BY_HEAD:
        return [Target(number, kind) for number in layers]
    count = places.kv_heads if kind in SHARED else places.heads
    heads = _numbers(rest, count, name, "head")
    return [Target(number, kind, head) for number in layers for head in heads]


def _numbers(text: str, count: int, name: str, what: str) -> Sequence[int]:
    if text == "*":
        return range(count)
    first, dash, last = text.partition("-")
    numbers = range(int(first), int(last if dash else first) + 1)
    if not numbers or numbers[-1] >= count:
        raise InputError(
            "`targets`", expected=f"a {what} from 0 to {count - 1}, ranges ascending", found=name
        )
    return numbers
