"""A backbone with donor parts at work inside its blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from transformers import DynamicCache, EncoderDecoderCache
from transformers.cache_utils import DynamicLayer

from transplant.backbones.core import CoreBackbone
from transplant.backbones.encoder_decoder import PrefixBackbone
from transplant.backbones.layercake.blocks import Span, make_span
from transplant.backbones.parts import block_width, blocks_of, find_site, intercepted
from transplant.backbones.view import Backbone
from transplant.errors import InputError, ShapeError
from transplant.modules.hosted import HostedModel
from transplant.surgery.inject.graft import Graft

SITES = {"ffn": "mlp", "heads": "attn", "layer": "layer"}
"""The place in a block that a kind of part takes."""


@dataclass(frozen=True)
class Injection:
    """A graft and its place."""

    layer: int
    """The block of the target."""
    kind: str
    """`ffn`, `heads` or `layer`: what it stands in for."""
    graft: Graft


class InjectedModel(HostedModel):
    """A hosted model whose change happens inside a block, not after the last.

    The backbone's own code runs; hooks on the block add what the graft changes, and are gone when
    the call returns. A part that attends keeps its keys and values in layers of the same cache,
    behind the backbone's own, so that `generate` works as ever.

    Args:
        name: `<injection>@<backbone>`.
        backbone: the frozen language model.
        injections: what works inside it.
    """

    def __init__(self, name: str, backbone: Backbone, injections: Sequence[Injection]) -> None:
        super().__init__(name, backbone)
        width = block_width(backbone)
        for injection in injections:
            find_site(backbone, injection.layer, SITES[injection.kind])
            found = injection.graft.bridges.inward.shape[1]
            if found != width:
                raise ShapeError(
                    f"the bridges do not fit {backbone.name}",
                    expected=f"width {width}",
                    found=found,
                )
        self.injections = tuple(injections)
        self.grafts = nn.ModuleList([i.graft for i in injections]).to(backbone.device).eval()
        self._span: Span | None = None

    @property
    def is_raw(self) -> bool:
        """Never: something works inside."""
        return False

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Has the grafts at work inside the block."""
        hook = self.backbone.reader().register_forward_pre_hook(self._enter, with_kwargs=True)
        with ExitStack() as stack:
            stack.callback(hook.remove)
            stack.callback(self._leave)
            for number, injection in enumerate(self.injections):
                site = find_site(self.backbone, injection.layer, SITES[injection.kind])
                stack.enter_context(intercepted(site, self._change(number, injection)))
            yield

    @contextmanager
    def attached(self) -> Iterator[None]:
        """The same, as calls of the model use it."""
        with self.inside():
            yield

    def _change(self, number: int, injection: Injection) -> Any:
        def change(x: Tensor, base: Tensor) -> Tensor:
            self._corrected = True
            return injection.graft(x, base, self._span, self._own_layers + number)

        return change

    def _leave(self) -> None:
        self._span = None

    @property
    def _own_layers(self) -> int:
        """Layers of the cache that the backbone itself takes."""
        layers = len(blocks_of(self.backbone))
        if isinstance(self.backbone, CoreBackbone):
            modules = self.backbone.model.model.domain_modules.values()
            layers += sum(module.cache_layers for module in modules)
        return layers

    def _enter(self, _reader: nn.Module, args: Any, kwargs: Any) -> tuple[Any, Any] | None:
        """Notes positions, padding and cache of a pass, as the parts will need them."""
        if not any(injection.graft.part.sequential for injection in self.injections):
            return None
        ids = kwargs.get("input_ids", args[0] if args else None)
        states = kwargs["inputs_embeds"] if ids is None else ids
        mask = kwargs.get("attention_mask")
        if mask is not None and not (isinstance(mask, Tensor) and mask.ndim == 2):
            raise InputError(
                "an injected part that attends takes a mask [batch, seq]",
                found=list(mask.shape) if isinstance(mask, Tensor) else type(mask).__name__,
                hint="the default cache, which grows",
            )
        cache = self._cache(kwargs)
        self._span = make_span(
            states.shape[1],
            states.device,
            attention_mask=mask,
            position_ids=kwargs.get("position_ids"),
            cache=cache,
        )
        return args, kwargs

    def _cache(self, kwargs: dict[str, Any]) -> DynamicCache | None:
        """The cache of this pass, with layers for the parts; made here where it would be new."""
        wanted = kwargs.get("use_cache")
        if wanted is None:
            wanted = self.backbone.model.config.use_cache
        cache = kwargs.get("past_key_values")
        if cache is None:
            if not wanted:
                return None
            cache = kwargs["past_key_values"] = self._new_cache()
        own = cache.self_attention_cache if isinstance(cache, EncoderDecoderCache) else cache
        if not isinstance(own, DynamicCache):
            raise InputError(
                "an injected part needs a cache that grows",
                expected="a DynamicCache",
                found=type(own).__name__,
            )
        if own.layer_class_to_replicate is None:
            needed = self._own_layers + len(self.injections)
            own.layers.extend(DynamicLayer() for _ in range(len(own.layers), needed))
        return own

    def _new_cache(self) -> DynamicCache | EncoderDecoderCache:
        config = self.backbone.model.config
        if isinstance(self.backbone, CoreBackbone):
            return DynamicCache()
        if isinstance(self.backbone, PrefixBackbone):
            return EncoderDecoderCache(DynamicCache(config=config), DynamicCache(config=config))
        return DynamicCache(config=config)
