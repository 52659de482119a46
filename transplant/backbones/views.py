"""The view of a model that is in memory, by its family, and whether it proves right."""

from __future__ import annotations

from typing import Any

import torch

from transplant.backbones.causal import CausalBackbone
from transplant.backbones.core import CoreBackbone
from transplant.backbones.encoder_decoder import PrefixBackbone
from transplant.backbones.view import Backbone
from transplant.errors import BackboneError, foreign
from transplant.text.windows import Window

CAUSAL_FAMILIES = (
    "gpt2", "gpt_neox", "llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3",
    "gemma3_text", "phi3", "olmo2", "smollm3", "opt",
)  # fmt: skip
CORE_FAMILIES = ("layercake",)
PREFIX_FAMILIES = ("t5",)
FAMILIES = (*CAUSAL_FAMILIES, *CORE_FAMILIES, *PREFIX_FAMILIES)
PROBE_TOLERANCE = 1e-3  # of the largest logit


def view_of(name: str, model: Any, tokenizer: Any, **known: Any) -> Backbone:
    """The view of a model that is already in memory; see `Backbone` for `known`.

    Raises:
        BackboneError: a family that is neither named nor fits the generic view, or a tokenizer with
            tokens that the model has no embedding of.
    """
    family = model.config.model_type
    if not getattr(tokenizer, "is_fast", False):
        raise BackboneError(
            f"the tokenizer of {name} has no character offsets",
            expected="a fast tokenizer (tokenizer.json)",
            found=type(tokenizer).__name__,
        )
    if known.get("tokenizer_sha256") is None:  # else it was checked when that was computed
        check_ids(name, model, tokenizer)
    if family in PREFIX_FAMILIES:
        return PrefixBackbone(name, model, tokenizer, **known)
    if family in CORE_FAMILIES:
        return CoreBackbone(name, model, tokenizer, **known)
    if family in CAUSAL_FAMILIES:
        return CausalBackbone(name, model, tokenizer, **known)
    return _generic_view(name, model, tokenizer, **known)


def check_ids(name: str, model: Any, tokenizer: Any) -> None:
    """Refuses a tokenizer that may give ids which the model has no embedding of."""
    with foreign(f"the vocabulary of {name} cannot be read", BackboneError):
        rows = model.get_input_embeddings().weight.shape[0]
        token, largest = max(tokenizer.get_vocab().items(), key=lambda item: item[1])
    if largest >= rows:
        raise BackboneError(
            f"the tokenizer of {name} is not that of its weights: token {token!r} has no embedding",
            expected=f"ids below {rows:,}",
            found=f"id {largest:,}",
            hint="the tokenizer that the weights were trained with, or resize_token_embeddings",
        )


@torch.no_grad()
def probe(backbone: Backbone) -> None:
    """Refuses what cannot read a few tokens: settings whose nonsense shows only at work."""
    with foreign(
        f"{backbone.name} cannot read text", BackboneError,
        expected="a configuration that fits its weights", hint="restore its config.json",
    ):  # fmt: skip
        if min(backbone.context - 1, backbone.n_layers) < 1:
            raise ValueError(f"{backbone.n_layers} layers, a window of {backbone.context} tokens")
        if not backbone.tokenizer("a text", return_offsets_mapping=True)["offset_mapping"]:
            raise ValueError("a tokenizer that makes no token of a text")
        ids = [n % backbone.vocab_size for n in range(min(4, backbone.context))]
        states = backbone.read([Window(ids, range(1, len(ids) + 1), 0)], backbone.all_taps[-1:])
        logits = backbone.head(states.h_last[:1])
        if not torch.isfinite(logits.float()).all():
            raise ValueError("logits that are NaN or infinite")


@torch.no_grad()
def _generic_view(name: str, model: Any, tokenizer: Any, **known: Any) -> Backbone:
    """Any other causal model, if the standard accessors prove to give its own logits."""
    families = f"one of {', '.join(FAMILIES)}, or a causal model with standard accessors"
    family = model.config.model_type
    if model.config.is_encoder_decoder or model.get_output_embeddings() is None:
        raise BackboneError(f"no view of {name}", expected=families, found=family)
    view = CausalBackbone(name, model, tokenizer, **known)
    ids = torch.arange(8, device=view.device).remainder(view.vocab_size)[None]
    try:
        expected = model(input_ids=ids, use_cache=False).logits.float()
        found = view.head(view.reader()(input_ids=ids, use_cache=False).last_hidden_state).float()
        off = (expected - found).abs().max() / expected.abs().max().clamp_min(1e-6)
    except (AttributeError, TypeError, RuntimeError) as error:
        raise BackboneError(f"no view of {name}", expected=families, found=family) from error
    if off > PROBE_TOLERANCE:
        raise BackboneError(
            f"no view of {name}: its head does more than a matrix to its last hidden state",
            expected=families,
            found=f"{family}, logits off by {off:.1e} of the largest",
        )
    return view
