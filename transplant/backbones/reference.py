"""The reference backbones: four small language models, trained from scratch on `prose`.

They exist so that every verb has something real to work on without a download: two of one
architecture and different seeds, one of another family, width and tokenizer, one encoder-decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from transplant.text.tokenizers import train_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

CONTEXT = 512


@dataclass(frozen=True, kw_only=True)
class ReferenceSpec:
    """One reference backbone: its shape, its tokenizer and its seed."""

    name: str
    """Its name in the registry."""
    tokenizer: str
    """The kind of tokenizer, see `transplant.text.tokenizers`."""
    vocab_size: int
    """Entries of the tokenizer."""
    seed: int
    """Seed of the initial weights and of the order of the text."""
    cycles: tuple[tuple[int, float], ...] = ((10_000_000, 2e-3),)
    """Tokens and peak rate of each run of the optimizer, one after the other."""
    build: Callable[[ReferenceSpec, PreTrainedTokenizerFast], PreTrainedModel]
    """Makes the untrained model."""

    def make_tokenizer(self, texts: Iterable[str]) -> PreTrainedTokenizerFast:
        """Trains the tokenizer on `texts`."""
        return train_tokenizer(self.tokenizer, texts, self.vocab_size, context=CONTEXT)

    def make_model(self, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
        """Builds the untrained model; the same seed gives the same weights."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return self.build(self, tokenizer)


def special_ids(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """What a model's configuration has to know of its tokenizer's special tokens."""
    return {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}


def _gpt2(spec: ReferenceSpec, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=spec.vocab_size,
            n_positions=CONTEXT,
            n_embd=256,
            n_layer=3,
            n_head=4,
            activation_function="gelu_pytorch_tanh",  # gelu_new as one fused operation
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=None,
            **special_ids(tokenizer),
        )
    )


def _llama(spec: ReferenceSpec, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=spec.vocab_size,
            hidden_size=192,
            intermediate_size=576,
            num_hidden_layers=4,
            num_attention_heads=6,
            num_key_value_heads=2,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
            bos_token_id=None,
            **special_ids(tokenizer),
        )
    )


def _t5(spec: ReferenceSpec, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    from transformers import T5Config, T5ForConditionalGeneration

    return T5ForConditionalGeneration(
        T5Config(
            vocab_size=spec.vocab_size,
            d_model=256,
            d_kv=64,
            num_heads=4,
            d_ff=640,
            num_layers=2,
            num_decoder_layers=2,
            dropout_rate=0.0,
            feed_forward_proj="gated-gelu",
            **special_ids(tokenizer),
            **{"decoder_start_token_id": tokenizer.pad_token_id, "tie_word_embeddings": True},
        )
    )


REFERENCES: dict[str, ReferenceSpec] = {
    spec.name: spec
    for spec in (
        ReferenceSpec(
            name="ref-gpt2",
            tokenizer="bpe",
            vocab_size=4096,
            seed=11,
            cycles=((10_000_000, 2e-3), (5_000_000, 1.5e-3)),
            build=_gpt2,
        ),
        ReferenceSpec(name="ref-gpt2-b", tokenizer="bpe", vocab_size=4096, seed=12, build=_gpt2),
        ReferenceSpec(
            name="ref-llama", tokenizer="bpe-digits", vocab_size=4608, seed=13, build=_llama
        ),
        ReferenceSpec(name="ref-t5", tokenizer="unigram", vocab_size=4096, seed=14, build=_t5),
    )
}
