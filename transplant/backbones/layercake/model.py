"""The LayerCake model: core blocks, the shared space with its domain modules, the head."""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import DynamicCache, GenerationMixin
from transformers.cache_utils import DynamicLayer
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.utils.generic import can_return_tuple

from transplant.backbones.layercake.blocks import (
    Block,
    ResidualLinear,
    Span,
    make_span,
    rotary_angles,
)
from transplant.backbones.layercake.config import LayerCakeConfig
from transplant.backbones.layercake.forms import FORMS, Form
from transplant.backbones.layercake.pretrained import LayerCakePreTrainedModel
from transplant.backbones.layercake.router import Router
from transplant.errors import InputError


class LayerCakeModel(LayerCakePreTrainedModel):
    """Everything but the head: token ids to the hidden states that the head reads."""

    def __init__(self, config: LayerCakeConfig) -> None:
        super().__init__(config)
        width, eps = config.hidden_size, config.layer_norm_eps
        self.embed_tokens = nn.Embedding(config.vocab_size, width)
        if config.positions == "learned":
            self.embed_positions = nn.Embedding(config.max_position_embeddings, width)
        self.layers = nn.ModuleList(
            Block(width, config.num_attention_heads, config.intermediate_size, eps)
            for _ in range(config.num_hidden_layers)
        )
        self.core_to_abi = nn.Linear(width, config.d_abi, bias=False)
        self.abi_norm = nn.LayerNorm(config.d_abi, eps=eps)
        self.abi_to_core = ResidualLinear(config.d_abi, width, bias=False)
        self.final_norm = nn.LayerNorm(width, eps=eps)
        # Sorted, as a saved configuration is: weights and sums come in one order always.
        modules = sorted(config.domain_modules.items())
        self.domain_modules = nn.ModuleDict(
            {name: FORMS[entry["form"]](config.d_abi) for name, entry in modules}
        )
        if config.router:
            self.routers = nn.ModuleDict({name: Router(config.d_abi) for name, _ in modules})
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: DynamicCache | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_hidden_states: bool | None = None,
        **_: Any,
    ) -> BaseModelOutputWithPast:
        """Reads tokens [batch, seq] and returns `last_hidden_state` [batch, seq, d_model].

        `hidden_states`, where asked for, are the embeddings, the output of every block, and
        `last_hidden_state`: the way through the shared space counts as a layer of its own.

        Raises:
            InputError: ids and embeddings both or neither, a mask, cache or length unfit to use.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise InputError("give input_ids or inputs_embeds, one of them")
        embedded = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        if use_cache is None:
            use_cache = self.config.use_cache and not self.training
        cache = self._make_room(past_key_values, use_cache)
        span = make_span(
            embedded.shape[1],
            embedded.device,
            attention_mask=attention_mask,
            position_ids=position_ids,
            cache=cache,
        )
        hidden = self._run_core(embedded, span)
        last = self.final_norm(hidden[-1] + self._through_abi(hidden[-1], span))
        wanted = (
            self.config.output_hidden_states
            if output_hidden_states is None
            else output_hidden_states
        )
        return BaseModelOutputWithPast(
            last_hidden_state=last,
            past_key_values=cache,
            hidden_states=(*hidden, last) if wanted else None,
        )

    def _run_core(self, embedded: Tensor, span: Span) -> list[Tensor]:
        """The embeddings with positions, and the output of every block."""
        config = self.config
        if config.positions == "learned":
            if span.length > config.max_position_embeddings:
                raise InputError(
                    "the text is longer than the learned positions",
                    expected=f"at most {config.max_position_embeddings} tokens",
                    found=span.length,
                )
            embedded = embedded + self.embed_positions(span.positions)
            angles = None
        else:
            head_dim = config.hidden_size // config.num_attention_heads
            angles = rotary_angles(span.positions, head_dim, config.rope_theta, embedded.dtype)
        hidden = [embedded]
        for number, block in enumerate(self.layers):
            hidden.append(block(hidden[-1], span, angles, number))
        return hidden

    def _through_abi(self, x: Tensor, span: Span) -> Tensor:
        """The shared space's part of the residual stream: [batch, seq, d_model]."""
        z = self.abi_norm(self.core_to_abi(x))
        z_out = z
        first_layer = self.config.num_hidden_layers
        for name, entry in sorted(self.config.domain_modules.items()):
            module = cast(Form, self.domain_modules[name])
            if entry["active"] and entry["weight"]:
                change = entry["weight"] * (module(z, span, first_layer) - z)
                z_out = z_out + (self.routers[name](z) * change if self.config.router else change)
            first_layer += module.cache_layers
        return self.abi_to_core(z_out)

    def _make_room(self, cache: DynamicCache | None, use_cache: bool) -> DynamicCache | None:
        """A cache with layers for the core and for every module that attends."""
        if cache is None:
            return DynamicCache() if use_cache else None
        if not isinstance(cache, DynamicCache):
            raise InputError(
                "a core's cache grows", expected="a DynamicCache", found=type(cache).__name__
            )
        if cache.layer_class_to_replicate is None:  # `generate` makes one for the core alone
            modules = (cast(Form, module) for module in self.domain_modules.values())
            needed = self.config.num_hidden_layers + sum(m.cache_layers for m in modules)
            missing = range(len(cache.layers), needed)
            cache.layers.extend(DynamicLayer() for _ in missing)
        return cache


class LayerCakeForCausalLM(LayerCakePreTrainedModel, GenerationMixin):
    """A LayerCake core with its language-model head."""

    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}

    def __init__(self, config: LayerCakeConfig) -> None:
        # Its own copy: a module added here is none of another core's.
        super().__init__(copy.deepcopy(config))
        self.model = LayerCakeModel(self.config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    @property
    def late_parameters(self) -> list[nn.Parameter]:
        """What rests while the blocks find their scale, in the training of a core.

        `abi_to_core` reads normalised states. From the start it would learn a constant that
        outweighs what small states say, and the final norm would hide them behind it.
        """
        return [cast(nn.Parameter, self.model.abi_to_core.weight)]

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: DynamicCache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_hidden_states: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Reads tokens [batch, seq] and returns logits [batch, seq, vocab], and a loss in nats.

        Args as those of `LayerCakeModel`; `labels` [batch, seq] are shifted here, -100 is none.
        """
        output = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            output_hidden_states=output_hidden_states,
        )
        keep = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(output.last_hidden_state[:, keep])
        loss = None
        if labels is not None:
            loss = self.loss_function(logits, labels, self.config.vocab_size, **kwargs)
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=output.past_key_values,
            hidden_states=output.hidden_states,
        )


def build_core(config: LayerCakeConfig, seed: int) -> LayerCakeForCausalLM:
    """An untrained core on the CPU; the same seed gives the same bytes."""
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(seed)
        return LayerCakeForCausalLM(config)
