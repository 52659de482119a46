"""Places in the blocks of a backbone where a value can be met and replaced.

A head is met as its columns of what the output projection of the attention reads, before heads are
mixed. All families of `backbones.parts` lay these columns out head by head. In a family that is not
in that table, the blocks are searched for modules of the usual names; what is not found is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor, nn

from transplant.backbones.encoder_decoder import PrefixBackbone
from transplant.backbones.parts import PLACES, Site, block_width, blocks_of, find_site, intercepted
from transplant.backbones.view import Backbone
from transplant.errors import BackboneError, InputError
from transplant.tracing.projections import KINDS as PROJECTED
from transplant.tracing.projections import Columns, columns_changed, find_columns

Change = Callable[[Tensor], Tensor | None]
"""From a value [batch, seq, width] to the one that takes its place; None leaves it."""

_PROJECTIONS = {
    "gpt2": "attn.c_proj",
    "gpt_neox": "attention.dense",
    "t5": "layer.0.SelfAttention.o",
    "opt": "self_attn.out_proj",
    "layercake": "out",
}
_USUAL_PROJECTION = "self_attn.o_proj"
_CROSS_PROJECTION = "layer.1.EncDecAttention.o"
_ATTENTION = re.compile(r"(self_)?(attn|attention)")
_FEED_FORWARD = re.compile(r"mlp|ffn|ff|feed_forward")
_OUT = re.compile(r"(.*\.)?(o_proj|out_proj|c_proj|dense|wo|out|o)")


@dataclass(frozen=True)
class Places:
    """The blocks of a hosted model's backbone, and the modules at which their parts are met."""

    backbone: Backbone

    @cached_property
    def blocks(self) -> nn.ModuleList:
        """The blocks of the decoder.

        Raises:
            InputError: none are found.
        """
        if self.is_known:
            return blocks_of(self.backbone)
        count = self.backbone.n_layers
        for module in self.backbone.reader().modules():
            if isinstance(module, nn.ModuleList) and len(module) == count:
                return module
        raise self._unknown("blocks")

    @property
    def is_known(self) -> bool:
        """Whether the family has a row in the table of parts."""
        return self.backbone.family in PLACES

    @property
    def layers(self) -> int:
        """The number of blocks."""
        return len(self.blocks)

    @cached_property
    def heads(self) -> int:
        """Query heads of a block.

        Raises:
            InputError: the configuration does not tell.
        """
        config: Any = self.backbone.model.config.get_text_config(decoder=True)
        heads = getattr(config, "num_attention_heads", None)
        if not isinstance(heads, int) or heads < 1:
            raise self._unknown("heads")
        return heads

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values: fewer where queries share them."""
        config: Any = self.backbone.model.config.get_text_config(decoder=True)
        return getattr(config, "num_key_value_heads", None) or self.heads

    @property
    def has_cross_attention(self) -> bool:
        """Whether the blocks attend to an encoder as well."""
        return isinstance(self.backbone, PrefixBackbone)

    def projection(self, layer: int, *, cross: bool = False) -> nn.Module:
        """The module that mixes the heads of a block: it reads [batch, seq, heads * head_dim]."""
        block = self.blocks[layer]
        if cross:
            return block.get_submodule(_CROSS_PROJECTION)
        if self.is_known:
            return block.get_submodule(_PROJECTIONS.get(self.backbone.family, _USUAL_PROJECTION))
        attention = self._child(block, _ATTENTION, "heads")
        found = [
            module
            for name, module in attention.named_modules()
            if _OUT.fullmatch(name) and getattr(module, "weight", None) is not None
        ]
        if len(found) != 1:
            raise self._unknown("heads")
        return found[0]

    def head_dim(self, layer: int, *, cross: bool = False) -> int:
        """The columns of one head.

        Raises:
            InputError: the projection's input is no whole number of heads.
        """
        width = input_width(self.projection(layer, cross=cross))
        if width % self.heads:
            raise self._unknown("heads")
        return width // self.heads

    def projected(self, layer: int, kind: str) -> Columns:
        """Where the queries, keys or values of a block come from.

        Raises:
            InputError: a family whose maps are not known.
        """
        heads, dim = (self.heads, self.kv_heads), self.head_dim(layer)
        found = find_columns(self.blocks[layer], self.backbone.family, kind, heads, dim)
        if found is None:
            raise self._unknown("queries, keys and values")
        return found

    def site(self, layer: int, part: str) -> Site:
        """The site of `attn` or `mlp` in a block."""
        if self.is_known:
            return find_site(self.backbone, layer, part)
        block = self.blocks[layer]
        names, said = (_ATTENTION, "attn") if part == "attn" else (_FEED_FORWARD, "ffn")
        module = self._child(block, names, said)
        return Site(block, module, module)

    @contextmanager
    def changed(self, kind: str, layer: int, change: Change) -> Iterator[None]:
        """Has `change` replace a value whenever the block runs.

        Args:
            kind: `head` and `cross`: all heads of a block [batch, seq, heads * head_dim], as their
                output projection reads them; `query`, `key` and `value`: the same as their maps
                give them, before norms and rotary positions; `ffn` and `attn`: what the part adds
                to the residual stream [batch, seq, width]; `layer`: the stream behind the block.
            layer: the block.
            change: from the value to another of its shape.

        Raises:
            InputError: queries, keys or values of a family whose maps are not known.
        """
        if kind in ("head", "cross"):
            hooked = _reads(self.projection(layer, cross=kind == "cross"), change)
        elif kind in PROJECTED:
            hooked = columns_changed(self.projected(layer, kind), change)
        elif kind == "layer":
            hooked = _gives(self.blocks[layer], change)
        else:
            site = self.site(layer, "mlp" if kind == "ffn" else "attn")
            hooked = intercepted(site, lambda _x, added: _difference(change(added), added))
        with hooked:
            yield

    def width(self, kind: str, layer: int) -> int:
        """The width of the value that `changed` meets."""
        if kind in ("head", "cross"):
            return input_width(self.projection(layer, cross=kind == "cross"))
        if kind in PROJECTED:
            return len(self.projected(layer, kind).index)
        return block_width(self.backbone)

    def _child(self, block: nn.Module, names: re.Pattern[str], what: str) -> nn.Module:
        found = [module for name, module in block.named_children() if names.fullmatch(name)]
        if len(found) != 1:
            raise self._unknown(what)
        return found[0]

    def _unknown(self, what: str) -> InputError:
        return InputError(
            f"the {what} of {self.backbone.name} are not found",
            expected=f"one of {[*PLACES]}, or modules of the usual names",
            found=self.backbone.family,
        )


def input_width(module: nn.Module) -> int:
    """What a linear map reads; `Conv1D` of GPT-2 holds its matrix the other way round."""
    weight = module.get_parameter("weight")
    if type(module).__name__ == "Conv1D":
        return weight.shape[0]
    return int(getattr(module, "in_features", weight.shape[-1]))


@contextmanager
def _reads(module: nn.Module, change: Change) -> Iterator[None]:
    def replace(_module: nn.Module, args: Any) -> Any:
        if not args or not isinstance(args[0], Tensor):
            raise BackboneError(
                f"{type(module).__name__} reads nothing that can be replaced", expected="a tensor"
            )
        changed = change(args[0])
        return None if changed is None else (changed, *args[1:])

    handle = module.register_forward_pre_hook(replace)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _gives(module: nn.Module, change: Change) -> Iterator[None]:
    def replace(_module: nn.Module, _args: Any, output: Any) -> Any:
        found = output[0] if isinstance(output, tuple) else output
        changed = change(found)
        if changed is None:
            return None
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    handle = module.register_forward_hook(replace)
    try:
        yield
    finally:
        handle.remove()


def _difference(changed: Tensor | None, value: Tensor) -> Tensor | None:
    """What `intercepted` adds on top of a value to have another in its place."""
    return None if changed is None else changed - value
